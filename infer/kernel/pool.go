package kernel

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// Pool runs row ranges on several goroutines. Results never depend on its size. One Run or MatMul uses the pool at a time, another waits;
// so a part must not use the pool it runs on. No call allocates, once the buffers have grown to the largest matrix.
type Pool struct {
	busy    sync.Mutex
	workers []worker // 0 is the caller
	wake    chan *worker
	pending sync.WaitGroup

	// The job under way, written before workers wake and left alone until all are done.
	job     job
	n, step int
	next    atomic.Int64 // start of the first part that nobody has taken
	failed  atomic.Pointer[failure]

	ternary ternaryJob // the jobs of this package live here so that starting one allocates nothing
	dense   denseJob
}

// job does rows [lo, hi) of its work. w belongs to the goroutine that calls.
type job interface{ part(w *worker, lo, hi int) }

type rangeFunc func(lo, hi int)

func (f rangeFunc) part(_ *worker, lo, hi int) { f(lo, hi) }

// worker holds one goroutine's scratch.
type worker struct {
	sums   []int32
	row    []float32
	q8     []q8Block
	q6     []q6Block
	scales []float32
	y      [8][4]float32
	block  [q6Weights]int8 // of x
}

// failure is a panic on its way to the caller's goroutine.
type failure struct{ value any }

// NewPool starts threads-1 goroutines that live until Close; the caller of Run is one more. 0 means GOMAXPROCS, which the runtime derives
// from the processors and the cgroup's quota.
func NewPool(threads int) *Pool {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	p := &Pool{workers: make([]worker, threads), wake: make(chan *worker, threads)}
	for range threads - 1 {
		go func() {
			// Weights are mapped: a file cut short under us must be a panic that the caller can turn into an error, not a crash.
			debug.SetPanicOnFault(true)
			for w := range p.wake {
				p.work(w)
				p.pending.Done()
			}
		}()
	}
	return p
}

// Threads returns how many goroutines take part in a Run.
func (p *Pool) Threads() int { return len(p.workers) }

// Close ends the goroutines. The pool must not be used afterwards.
func (p *Pool) Close() { close(p.wake) }

// Run calls f on parts of [0, n), each starting at a multiple of grain, and returns when all are done. A panic in f is raised again, with
// its value, on the caller's goroutine. A function literal that captures variables is allocated by its caller; one kept in a variable is
// not.
func (p *Pool) Run(n, grain int, f func(lo, hi int)) {
	p.busy.Lock()
	defer p.busy.Unlock()
	p.run(n, grain, rangeFunc(f))
}

// run is Run for a job; the caller holds busy.
func (p *Pool) run(n, grain int, j job) {
	if n <= 0 {
		return
	}
	grains := (n + grain - 1) / grain
	helpers := min(len(p.workers), grains) - 1
	// About four parts a worker even out processors of unequal speed.
	p.job, p.n, p.step = j, n, grain*max(1, grains/(4*len(p.workers)))
	p.next.Store(0)
	p.pending.Add(helpers)
	for i := range helpers {
		p.wake <- &p.workers[1+i]
	}
	p.work(&p.workers[0])
	p.pending.Wait()
	p.job = nil
	if f := p.failed.Swap(nil); f != nil {
		panic(f.value)
	}
}

// work takes parts until none is left.
func (p *Pool) work(w *worker) {
	defer func() {
		if v := recover(); v != nil {
			p.failed.CompareAndSwap(nil, &failure{v})
			p.next.Store(int64(p.n)) // the rest need not start
		}
	}()
	for {
		lo := int(p.next.Add(int64(p.step))) - p.step
		if lo >= p.n {
			return
		}
		p.job.part(w, lo, min(lo+p.step, p.n))
	}
}

// grow returns a slice of length n, s itself if it is large enough.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
