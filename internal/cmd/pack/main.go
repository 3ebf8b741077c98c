// Command pack makes dist.zip of dist/: what the Functions host unpacks. The zip
// holds host.json at its root, unix modes that let the host start the handler and
// read the rest, and nothing that was not laid out by command dist. One dist/
// gives one zip, byte by byte.
//
//	pack [FOLDER [FILE]]
package main

import (
	"fmt"
	"os"
)

func main() {
	dist, file := "dist", "dist.zip"
	if len(os.Args) > 1 {
		dist = os.Args[1]
	}
	if len(os.Args) > 2 {
		file = os.Args[2]
	}
	if err := pack(dist, file); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}
