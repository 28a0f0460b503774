package infer

// Pages returns n zero bytes that lie as the weights of a loaded model do: outside of Go's heap, in large pages where the system has them. With
// them one can measure how fast a pass could read its weights.
func Pages(n int) (pages []byte, release func() error, err error) {
	pages, err = allocate(n)
	return pages, func() error { return free(pages) }, err
}
