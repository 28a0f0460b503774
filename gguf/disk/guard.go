package disk

import (
	"runtime"
	"runtime/debug"

	"github.com/wrinklefree/wf/gguf/fault"
)

// Guard runs f and turns a memory fault in it into a FILE_CHANGED error: a page of a map whose file was truncated cannot be read, and the
// processor says so with SIGBUS. It covers f on this goroutine only; other panics pass through.
func Guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch r := recover().(type) {
		case nil:
		case interface {
			runtime.Error
			Addr() uintptr
		}: // what debug.SetPanicOnFault documents; a nil dereference has no Addr
			err = fault.New(fileChanged, "%s: the mapped file was truncated while it was read; replace a model by renaming a new file over it",
				fault.Path(path))
		default:
			panic(r)
		}
	}()
	return f()
}
