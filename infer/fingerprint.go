package infer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
)

// fingerprintRows is a block of 32 and part of another, so that both masks have something to say.
const fingerprintRows = 40

// Fingerprint returns the sha256, in hexadecimal, of the logits [40, Vocab] of fixed ids under the causal mask and then under blocks of 32, as
// little-endian float32. A model file has the same one on every machine; another one means that a processor, a compiler or a kernel computes
// differently. Like Forward, it may not be called while a pass runs.
func (m *Model) Fingerprint() (string, error) {
	hash := sha256.New()
	seg := &Segment{IDs: make([]int32, fingerprintRows), Logits: make([]int, fingerprintRows)}
	for i := range seg.IDs {
		seg.IDs[i], seg.Logits[i] = int32((i*37+1)%m.config.Vocab), i
	}
	for _, block := range []int{0, 32} {
		var err error
		if seg.Cache, err = m.NewCache(fingerprintRows); err != nil {
			return "", err
		}
		seg.Mask.Block = block
		if err := m.Forward([]*Segment{seg}); err != nil {
			return "", err
		}
		if seg.Err != nil {
			return "", seg.Err
		}
		bytes := make([]byte, 0, 4*len(seg.Out))
		for _, v := range seg.Out {
			bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(v))
		}
		hash.Write(bytes)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
