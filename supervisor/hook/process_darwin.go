package hook

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// truncateName returns what the kernel keeps of a name (MAXCOMLEN).
func truncateName(name string) string { return name[:min(len(name), 16)] }

// szomb is the state of a process that has not been reaped (SZOMB in
// sys/proc.h).
const szomb = 5

// lookUpProcess returns what the kernel says about a process. It does not say
// which signals the process handles.
func lookUpProcess(pid int) (process, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil {
		return process{}, errGone // it answers with nothing, which is EIO
	}
	p := describe(info)
	if boot, err := unix.SysctlTimeval("kern.boottime"); err == nil {
		p.boot = time.Unix(boot.Unix())
	}
	return p, nil
}

func describe(info *unix.KinfoProc) process {
	return process{
		pid:     int(info.Proc.P_pid),
		parent:  int(info.Eproc.Ppid),
		name:    unix.ByteSliceToString(info.Proc.P_comm[:]),
		born:    info.Proc.P_starttime.Nano(),
		started: time.Unix(info.Proc.P_starttime.Unix()),
		uids:    []uint32{info.Eproc.Pcred.P_ruid, info.Eproc.Ucred.Uid},
		dead:    info.Proc.P_stat == szomb,
	}
}

// listProcesses returns every process.
func listProcesses() ([]process, error) {
	infos, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	var all []process
	for i := range infos {
		all = append(all, describe(&infos[i]))
	}
	return all, nil
}
