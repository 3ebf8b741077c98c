// Command release lays out release/: what a release consists of.
//
//	procall-teams-bridge.zip  the package, as command pack made it
//	azuredeploy.json          the template, compiled from infra/main.bicep
//	deploy.sh, register.sh    the scripts
//	THIRD-PARTY-NOTICES.txt   the licences of all that is inside the handler
//	SHA256SUMS                checksums of these
//	NOTES.md                  what the release page says
//	pages/azuredeploy.json    the template for the button of the release page
//
// One commit gives the same bytes, if the versions of Go and Bicep are the same.
package main

import (
	"fmt"
	"os"
)

func main() {
	r := release{Root: ".", Program: "./handler", Package: "dist.zip", Folder: "release", Repository: os.Getenv("GITHUB_REPOSITORY")}
	if err := r.layOut(); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}
