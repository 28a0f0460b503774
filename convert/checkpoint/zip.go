package checkpoint

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wrinklefree/wf/gguf/checked"
	"github.com/wrinklefree/wf/gguf/fault"
)

// The records of a zip file that matter here (APPNOTE.TXT 4.3), little endian:
//
//	local header        PK\3\4, 30 bytes: 6 flags, 8 method, 14 crc, 18 stored size, 22 size, 26 name length, 28 extra length; name; extra; data
//	directory entry     PK\1\2, 46 bytes: 8 flags, 10 method, 16 crc, 20 stored size, 24 size, 28 name, 30 extra, 32 comment length,
//	                    34 disk, 42 offset of the local header; name; extra; comment
//	end of directory    PK\5\6, 22 bytes: 4 disk, 6 disk of directory, 8 entries here, 10 entries, 12 directory size, 16 its offset, 20 comment length
//	zip64 locator       PK\6\7, 20 bytes right before it: 8 offset of the zip64 end
//	zip64 end           PK\6\6, 56 bytes: 4 size of the rest, 16 disk, 20 disk, 24 entries here, 32 entries, 40 directory size, 48 its offset
//
// A value of all ones stands for one in the zip64 record or in the extra field 1. PyTorch pads the local extra field so that data begin at a
// multiple of 64, and leaves sizes out of the local header (flag 8): only the directory has them.
const (
	localSize    = 30
	entrySize    = 46
	endSize      = 22
	locatorSize  = 20
	end64Size    = 56
	ones16       = 1<<16 - 1
	ones32       = 1<<32 - 1
	flagEncrypt  = 1
	flagDeferred = 8 // sizes and crc follow the data
	maxEntries   = 1 << 17
	maxDirectory = 64 << 20
	maxName      = 1 << 10
)

// entry is one file in a zip file.
type entry struct {
	name   string
	flags  uint16
	method uint16
	crc    uint32
	size   uint64
	header uint64 // offset of the local header
	limit  uint64 // where the next local header or the directory begins, and the data must have ended
}

// archive is a zip file whose directory has been read and checked: names are unique and relative, nothing is encrypted.
type archive struct {
	file    *file
	entries []entry // in the order of their local headers
	byName  map[string]*entry
}

// openZip reads the central directory. archive/zip is not used: it allocates for every entry before it can be counted, accepts bytes before
// and names above the root, and does not compare the directory with the local headers.
func openZip(f *file) (*archive, error) {
	dir, size, count, err := f.findDirectory()
	if err != nil {
		return nil, err
	}
	a := &archive{file: f, entries: make([]entry, count), byName: make(map[string]*entry, count)}
	r := bufio.NewReaderSize(io.NewSectionReader(f, int64(dir), int64(size)), 64<<10)
	for i := range a.entries {
		if a.entries[i], err = f.readEntry(r); err != nil {
			return nil, err
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return nil, f.fail("ZIP_CORRUPT", "the zip directory is longer than its %d entries", count)
	}
	slices.SortFunc(a.entries, func(a, b entry) int { return cmp.Compare(a.header, b.header) })
	for i := range a.entries {
		e := &a.entries[i]
		if e.limit = dir; i+1 < len(a.entries) {
			e.limit = min(dir, a.entries[i+1].header)
		}
		if a.byName[e.name] != nil {
			return nil, f.fail("ZIP_DUPLICATE", "the zip directory lists %s twice; write the checkpoint again with torch.save", fault.Quote(e.name))
		}
		a.byName[e.name] = e
	}
	return a, nil
}

// findDirectory returns offset, size and number of entries of the central directory, which must end where the end records begin.
func (f *file) findDirectory() (dir, size, count uint64, err error) {
	le := binary.LittleEndian
	total := uint64(f.Size())
	tail := make([]byte, min(total, endSize+ones16))
	if _, err := f.ReadAt(tail, int64(total)-int64(len(tail))); err != nil {
		return 0, 0, 0, err
	}
	at := len(tail) - endSize
	for ; at >= 0; at-- {
		if bytes.HasPrefix(tail[at:], []byte("PK\x05\x06")) && int(le.Uint16(tail[at+20:])) == len(tail)-at-endSize {
			break
		}
	}
	if at < 0 {
		return 0, 0, 0, f.fail("ZIP_CORRUPT", "the zip file has no directory at its end; it is cut short or something was appended; copy or download it again")
	}
	end := tail[at:]
	disks := uint64(le.Uint16(end[4:])) | uint64(le.Uint16(end[6:]))
	here, count, size, dir := uint64(le.Uint16(end[8:])), uint64(le.Uint16(end[10:])), uint64(le.Uint32(end[12:])), uint64(le.Uint32(end[16:]))
	stop := total - uint64(len(end))
	if at >= locatorSize && bytes.HasPrefix(tail[at-locatorSize:], []byte("PK\x06\x07")) {
		var end64 [end64Size]byte
		stop = le.Uint64(tail[at-locatorSize+8:])
		if !checked.Within(stop, end64Size, total) {
			return 0, 0, 0, f.fail("ZIP_CORRUPT", "the zip64 record lies at byte %d of %d", stop, total)
		}
		if _, err := f.ReadAt(end64[:], int64(stop)); err != nil {
			return 0, 0, 0, err
		}
		agree := bytes.HasPrefix(end64[:], []byte("PK\x06\x06"))
		replace := func(v *uint64, ones uint64, field []byte) {
			agree = agree && (*v == ones || *v == le.Uint64(field))
			*v = le.Uint64(field)
		}
		replace(&here, ones16, end64[24:])
		replace(&count, ones16, end64[32:])
		replace(&size, ones32, end64[40:])
		replace(&dir, ones32, end64[48:])
		if disks |= uint64(le.Uint32(end64[16:])) | uint64(le.Uint32(end64[20:])); !agree {
			return 0, 0, 0, f.fail("ZIP_CORRUPT", "the zip64 record at byte %d disagrees with the end of the file", stop)
		}
	}
	dirEnd, ok := checked.Add(dir, size)
	switch {
	case disks != 0 || here != count:
		err = f.fail("ZIP_CORRUPT", "the zip file is one part of several; join them first")
	case count > maxEntries || size > maxDirectory:
		err = f.fail("ZIP_LIMIT", "the zip directory has %d entries in %d bytes, wanted at most %d in %d", count, size, maxEntries, maxDirectory)
	case !ok || dirEnd != stop:
		err = f.fail("ZIP_CORRUPT", "the zip directory at byte %d has %d bytes, but its end record lies at %d", dir, size, stop)
	case count > size/entrySize:
		err = f.fail("ZIP_CORRUPT", "the zip directory has %d bytes, too few for %d entries", size, count)
	}
	return dir, size, count, err
}

// readEntry reads the next directory entry.
func (f *file) readEntry(r *bufio.Reader) (entry, error) {
	le := binary.LittleEndian
	var fixed [entrySize]byte
	if err := f.full(r, fixed[:]); err != nil {
		return entry{}, err
	}
	text := make([]byte, int(le.Uint16(fixed[28:]))+int(le.Uint16(fixed[30:]))+int(le.Uint16(fixed[32:])))
	if err := f.full(r, text); err != nil {
		return entry{}, err
	}
	name, extra := string(text[:le.Uint16(fixed[28:])]), text[le.Uint16(fixed[28:]):][:le.Uint16(fixed[30:])]
	e := entry{name: name, flags: le.Uint16(fixed[8:]), method: le.Uint16(fixed[10:]), crc: le.Uint32(fixed[16:]),
		size: uint64(le.Uint32(fixed[24:])), header: uint64(le.Uint32(fixed[42:]))}
	stored := uint64(le.Uint32(fixed[20:]))
	ok := zip64(extra, &e.size, &stored, &e.header)
	switch {
	case !bytes.HasPrefix(fixed[:], []byte("PK\x01\x02")) || !ok:
		return e, f.fail("ZIP_CORRUPT", "the zip directory entry %s is damaged", fault.Quote(name))
	case len(name) > maxName || !fs.ValidPath(strings.TrimSuffix(name, "/")) || strings.ContainsAny(name, "\\\x00") || !utf8.ValidString(name):
		return e, f.fail("ZIP_BAD_NAME", "the zip file holds an entry %s, wanted a plain relative path; write the checkpoint again with torch.save", fault.Quote(name))
	case e.flags&flagEncrypt != 0:
		return e, f.fail("ZIP_ENCRYPTED", "zip entry %s is encrypted; wanted a checkpoint as torch.save writes it", fault.Quote(name))
	case e.method == 0 && stored != e.size:
		return e, f.fail("ZIP_CORRUPT", "zip entry %s is stored in %d bytes, but has %d", fault.Quote(name), stored, e.size)
	}
	return e, nil
}

// full fills p from the directory.
func (f *file) full(r io.Reader, p []byte) error {
	_, err := io.ReadFull(r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return f.fail("ZIP_CORRUPT", "the zip directory ends inside an entry")
	}
	return err
}

// zip64 replaces the values that are all ones by those in extra field 1, where they stand in this order. It reports false if one is missing.
func zip64(extra []byte, values ...*uint64) bool {
	le := binary.LittleEndian
	var field []byte
	for len(extra) >= 4 {
		id, n := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if extra = extra[4:]; n > len(extra) {
			break
		}
		if id == 1 {
			field = extra[:n]
			break
		}
		extra = extra[n:]
	}
	for _, v := range values {
		if *v == ones32 {
			if len(field) < 8 {
				return false
			}
			*v, field = le.Uint64(field), field[8:]
		}
	}
	return true
}

// data returns where the bytes of a stored entry begin, after its local header, which must agree with the directory.
func (a *archive) data(e *entry) (int64, error) {
	le := binary.LittleEndian
	f, name := a.file, fault.Quote(e.name)
	if e.method != 0 {
		return 0, f.fail("ZIP_COMPRESSED", "zip entry %s is compressed (method %d), wanted stored, as torch.save writes it; unpack and use zip -0", name, e.method)
	}
	var fixed [localSize]byte
	if !checked.Within(e.header, localSize, e.limit) {
		return 0, f.fail("ZIP_CORRUPT", "zip entry %s begins at byte %d, but must have ended at byte %d", name, e.header, e.limit)
	}
	if _, err := f.ReadAt(fixed[:], int64(e.header)); err != nil {
		return 0, err
	}
	nameLength, extraLength := uint64(le.Uint16(fixed[26:])), uint64(le.Uint16(fixed[28:]))
	start, _ := checked.Add(e.header, localSize+nameLength+extraLength) // e.header lies inside the file
	if !bytes.HasPrefix(fixed[:], []byte("PK\x03\x04")) || !checked.Within(start, e.size, e.limit) {
		return 0, f.fail("ZIP_CORRUPT", "zip entry %s: no local header at byte %d with %d bytes of data behind it that end before byte %d", name, e.header, e.size, e.limit)
	}
	text := make([]byte, nameLength+extraLength)
	if _, err := f.ReadAt(text, int64(e.header)+localSize); err != nil {
		return 0, err
	}
	flags, method := le.Uint16(fixed[6:]), le.Uint16(fixed[8:])
	stored, size := uint64(le.Uint32(fixed[18:])), uint64(le.Uint32(fixed[22:]))
	same := string(text[:nameLength]) == e.name && method == e.method && flags&flagEncrypt == 0 && zip64(text[nameLength:], &size, &stored)
	if deferred := flags&flagDeferred != 0 && size == 0 && stored == 0; !deferred {
		same = same && size == e.size && stored == e.size
	}
	if !same {
		return 0, f.fail("ZIP_CORRUPT", "zip entry %s: its local header at byte %d disagrees with the directory in name, method or size", name, e.header)
	}
	return int64(start), nil
}
