package testbed

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLateBeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := StartPulse()
		defer p.Stop()
		start := time.Now()
		time.Sleep(time.Second)
		synctest.Wait()
		if late := p.Since(start); late != 0 {
			t.Errorf("late by %v on a machine that never is", late)
		}
		p.beat(time.Now().Add(300 * time.Millisecond)) // nothing ran meanwhile
		if late := p.Since(start); late < 298*time.Millisecond || late > 300*time.Millisecond {
			t.Errorf("late by %v, want 299ms", late)
		}
		if late := p.Since(time.Now().Add(time.Second)); late != 0 {
			t.Errorf("late by %v after the beat that was", late)
		}
	})
}
