// Package checked is the one place where sizes that come from a file are added, multiplied and narrowed.
//
// Every function reports false instead of wrapping around, so that a reader can refuse the file before it allocates or seeks.
package checked

import (
	"math"
	"math/bits"
)

// Add returns a+b, and false if the sum does not fit.
func Add(a, b uint64) (uint64, bool) {
	sum, carry := bits.Add64(a, b, 0)
	return sum, carry == 0
}

// Mul returns a*b, and false if the product does not fit.
func Mul(a, b uint64) (uint64, bool) {
	hi, lo := bits.Mul64(a, b)
	return lo, hi == 0
}

// Product returns the product of all factors (1 for none), and false if it exceeds 2^63-1, so that it can be an int64 offset.
func Product(factors ...uint64) (uint64, bool) {
	product, ok := uint64(1), true
	for _, f := range factors {
		if product, ok = Mul(product, f); !ok {
			return 0, false
		}
	}
	return product, product <= math.MaxInt64
}

// Align rounds n up to a multiple of alignment, a power of two, and reports false if that does not fit.
func Align(n, alignment uint64) (uint64, bool) {
	sum, ok := Add(n, alignment-1)
	return sum &^ (alignment - 1), ok
}

// Int narrows n to an int, and reports false if it does not fit.
func Int(n uint64) (int, bool) {
	return int(n), n <= math.MaxInt
}

// Int64 narrows n to an int64, and reports false if it does not fit.
func Int64(n uint64) (int64, bool) {
	return int64(n), n <= math.MaxInt64
}

// Within reports whether length bytes at offset lie inside a file of size bytes.
func Within(offset, length, size uint64) bool {
	end, ok := Add(offset, length)
	return ok && end <= size
}
