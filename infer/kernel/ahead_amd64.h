// AHEAD256 has the processor fetch the 256 bytes that lie 4 KiB behind the address in R. One row of x is multiplied faster than memory gives
// weights, and this keeps it busy.
#define AHEAD256(R) \
	PREFETCHT0 4096(R); \
	PREFETCHT0 4160(R); \
	PREFETCHT0 4224(R); \
	PREFETCHT0 4288(R)
