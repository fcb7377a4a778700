package health

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// system says what the kernel counts of svidhelper. What it does not tell is left
// out.
func (e *exposition) system() {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
		e.value(metricCPU, (time.Duration(used.Utime.Nano()) + time.Duration(used.Stime.Nano())).Seconds())
	}
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil { // size, resident, …: proc(5)
		if fields := strings.Fields(string(statm)); len(fields) > 1 {
			if pages, err := strconv.ParseUint(fields[1], 10, 64); err == nil {
				e.count(metricResident, pages*uint64(os.Getpagesize()))
			}
		}
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		e.value(metricFiles, float64(len(open)))
	}
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		e.count(metricFilesMost, limit.Cur)
	}
}
