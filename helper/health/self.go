package health

import (
	"runtime"
	"runtime/metrics"
)

// What svidhelper itself takes, under the names that Go programs have for it.
// All of it is read at a scrape, and nothing is kept between two.
var (
	metricGo         = &metric{gauge, "go_info", "The Go that svidhelper was built with, as a label.", []string{"version"}}
	metricGoroutines = &metric{gauge, "go_goroutines", "Goroutines of svidhelper.", nil}
	metricHeap       = &metric{gauge, "go_memstats_heap_alloc_bytes", "Bytes of svidhelper's heap that are in use.", nil}
	metricGoMemory   = &metric{gauge, "go_memstats_sys_bytes", "Bytes of memory that the Go runtime has from the system.", nil}
	metricGCs        = &metric{counter, "go_gc_cycles_total", "Garbage collections of svidhelper.", nil}

	metricCPU       = &metric{counter, "process_cpu_seconds_total", "Seconds of CPU that svidhelper itself has used (Linux).", nil}
	metricResident  = &metric{gauge, "process_resident_memory_bytes", "Bytes of memory that svidhelper itself has in use (Linux).", nil}
	metricFiles     = &metric{gauge, "process_open_fds", "Files that svidhelper itself has open (Linux).", nil}
	metricFilesMost = &metric{gauge, "process_max_fds", "Files that svidhelper itself may have open (Linux).", nil}
)

func (e *exposition) self() {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	metrics.Read(samples)
	e.value(metricGo, 1, runtime.Version())
	e.value(metricGoroutines, float64(runtime.NumGoroutine()))
	for i, m := range []*metric{metricHeap, metricGoMemory, metricGCs} {
		if samples[i].Value.Kind() == metrics.KindUint64 {
			e.count(m, samples[i].Value.Uint64())
		}
	}
	e.system()
}
