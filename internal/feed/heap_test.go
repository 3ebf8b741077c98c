package feed_test

import "runtime"

// heapOf returns how many bytes of heap drop frees.
func heapOf(drop func()) float64 {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	drop()
	return float64(before - heap())
}
