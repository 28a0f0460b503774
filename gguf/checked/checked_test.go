package checked

import (
	"math"
	"testing"
)

func TestOverflowIsReported(t *testing.T) {
	const big = math.MaxUint64
	if _, ok := Add(big, 1); ok {
		t.Error("Add(2^64-1, 1) fits")
	}
	if v, ok := Add(big, 0); !ok || v != big {
		t.Error("Add(2^64-1, 0) does not fit")
	}
	if _, ok := Mul(1<<32, 1<<32); ok {
		t.Error("Mul(2^32, 2^32) fits")
	}
	for _, c := range []struct {
		factors []uint64
		want    uint64
		ok      bool
	}{
		{nil, 1, true}, {[]uint64{3, 5}, 15, true}, {[]uint64{1 << 62, 2}, 1 << 63, false}, {[]uint64{1<<63 - 1}, 1<<63 - 1, true},
		{[]uint64{1 << 40, 1 << 40}, 0, false}, {[]uint64{0, big}, 0, true},
	} {
		if got, ok := Product(c.factors...); ok != c.ok || ok && got != c.want {
			t.Errorf("Product(%v) = %d, %v; want %d, %v", c.factors, got, ok, c.want, c.ok)
		}
	}
	if v, ok := Align(33, 32); !ok || v != 64 {
		t.Errorf("Align(33, 32) = %d, %v", v, ok)
	}
	if _, ok := Align(big-3, 32); ok {
		t.Error("Align near 2^64 fits")
	}
	if !Within(8, 8, 16) || Within(9, 8, 16) || Within(big, 2, 16) {
		t.Error("Within is wrong at an edge")
	}
	if _, ok := Int64(1 << 63); ok {
		t.Error("Int64(2^63) fits")
	}
	if _, ok := Int(1 << 63); ok {
		t.Error("Int(2^63) fits")
	}
}
