package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// startWriteback has the system write size bytes from offset on to the disk, and does not wait for it. It is only advice: Sync will do what it did not.
func startWriteback(f *os.File, offset, size int64) {
	unix.SyncFileRange(int(f.Fd()), offset, size, unix.SYNC_FILE_RANGE_WRITE)
}
