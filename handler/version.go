package main

import (
	"fmt"
	"runtime/debug"
)

// built is set by command dist: the commit that the package was made from, behind
// its release if it has one (v1.2.0+0123456789ab).
var built string

// buildVersion is what is known of the source that the binary was built from.
func buildVersion() string {
	if built != "" {
		return built
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return fmt.Sprintf("%.12s", setting.Value)
		}
	}
	return info.Main.Version
}
