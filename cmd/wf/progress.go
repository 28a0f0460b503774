package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar returns a progress function for bytes. On a terminal it draws a bar with bytes, rate and time left; otherwise it prints a plain line every ten
// percent, so that a CI log stays short. The returned finish clears the bar.
func (env *environment) bar(what string) (progress func(done, total int64), finish func()) {
	if env.quiet {
		return nil, func() {}
	}
	if !terminal(env.stderr) {
		return env.plainBar(what), func() {}
	}
	var b *progressbar.ProgressBar
	progress = func(done, total int64) {
		if b == nil {
			b = progressbar.NewOptions64(total,
				progressbar.OptionSetDescription(what),
				progressbar.OptionSetWriter(env.stderr),
				progressbar.OptionShowBytes(true),
				progressbar.OptionSetPredictTime(true),
				progressbar.OptionShowElapsedTimeOnFinish(),
				progressbar.OptionThrottle(65*time.Millisecond),
				progressbar.OptionClearOnFinish(),
				progressbar.OptionEnableColorCodes(os.Getenv("NO_COLOR") == ""),
				progressbar.OptionFullWidth(),
			)
		}
		_ = b.Set64(done) // drawing is a courtesy: a closed stderr must not end a conversion
	}
	return progress, func() {
		if b != nil {
			_ = b.Finish()
		}
	}
}

// plainBar prints a line whenever another tenth is done, and none for what takes no time.
func (env *environment) plainBar(what string) func(done, total int64) {
	const quickly = 2 * time.Second
	started, tenth := time.Now(), int64(0)
	return func(done, total int64) {
		if total <= 0 || done*10/total <= tenth || time.Since(started) < quickly {
			return
		}
		tenth = done * 10 / total
		elapsed := time.Since(started).Seconds()
		fmt.Fprintf(env.stderr, "wf: %s: %3d%%, %s of %s, %s/s, %.0f s left\n", what, tenth*10, bytesText(uint64(done)), bytesText(uint64(total)),
			bytesText(uint64(float64(done)/max(elapsed, 1e-3))), elapsed*float64(total-done)/float64(done))
	}
}

// bytesText writes a size the way the field does: in powers of 1024, three digits.
func bytesText(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1024, 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	return fmt.Sprintf("%.2f %ciB", v, units[u])
}
