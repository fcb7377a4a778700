package splay

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestDelayIsStableAndSpread(t *testing.T) {
	const span, many = time.Minute, 6000
	var bins [60]int
	for i := range many {
		id := fmt.Sprintf("web-%d", i)
		d := Delay(id, span)
		if d < 0 || d >= span || d != Delay(id, span) {
			t.Fatalf("Delay(%q) = %v", id, d)
		}
		bins[d/time.Second]++
	}
	if low, high := slices.Min(bins[:]), slices.Max(bins[:]); low < 50 || high > 160 {
		t.Errorf("of %d, between %d and %d share a second, want about 100", many, low, high)
	}
	if d := Delay("x", 0); d != 0 {
		t.Errorf("no span gives %v", d)
	}
}
