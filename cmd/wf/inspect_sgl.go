package main

import (
	"context"
	"fmt"

	"github.com/wrinklefree/wf/convert/sglkernel"
	"github.com/wrinklefree/wf/gguf/disk"
	"github.com/wrinklefree/wf/gguf/fault"
	"github.com/wrinklefree/wf/quant"
)

// isSGL reports whether a file begins like one that wf convert --format sglkernel writes.
func isSGL(path string) bool {
	f, err := disk.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 8)
	n, _ := f.ReadAt(head, 0)
	return sglkernel.Recognise(head[:n])
}

// inspectSGL shows the tensors of an sgl-kernel file, with their scales.
func inspectSGL(_ context.Context, path, _ string) (*inspection, error) {
	f, err := disk.Open(path)
	if err != nil {
		return nil, inFile(path, err)
	}
	defer f.Close()
	file, err := sglkernel.Read(f, f.Size())
	if err != nil {
		return nil, inFile(path, err)
	}
	v := &inspection{File: path, Format: "sgl-kernel file", Size: uint64(f.Size()), Notes: []string{"config " + string(file.Config)}}
	for _, t := range file.Tensors {
		size, _ := t.Size()
		line := tensorLine{Name: t.Name, Type: t.DType.String(), Bytes: size}
		weights := uint64(1)
		for _, d := range t.Dims {
			line.Dims = append(line.Dims, uint64(d))
			weights *= uint64(d)
		}
		if t.HasScale {
			weights *= 4
			if line.Ternary, err = sglShare(f, &t, size); err != nil {
				return nil, inFile(path, fmt.Errorf("tensor %s: %w", fault.Quote(t.Name), err))
			}
		}
		line.BitsPerWeight = bitsPerWeight(size, weights)
		v.Tensors = append(v.Tensors, line)
	}
	v.Types = totals(v.Tensors)
	return v, nil
}

// sglShare counts the codes of a projection.
func sglShare(f *disk.File, t *sglkernel.Tensor, size uint64) (*quant.Share, error) {
	codes := make([]byte, size)
	if _, err := f.ReadAt(codes, t.Offset); err != nil {
		return nil, err
	}
	if size%32 != 0 {
		return nil, fault.New("SGL_BAD_TENSOR", "%d bytes of codes are no blocks of 32", size)
	}
	trits := make([]int8, 4*size)
	if err := quant.UnpackI2S(trits, codes); err != nil {
		return nil, err
	}
	s := &quant.Share{Scale: t.Scale}
	for _, v := range trits {
		switch v {
		case -1:
			s.Minus++
		case 0:
			s.Zero++
		default:
			s.Plus++
		}
	}
	return s, nil
}
