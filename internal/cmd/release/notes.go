package main

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// heading matches the heading of a version in the changelog: "## 1.2.0 - 2027-01-31",
// also in brackets, or "## Unreleased".
var heading = regexp.MustCompile(`(?m)^## \[?([^\]\s]+)\]?.*$`)

// relative matches a link to a file of the repository.
var relative = regexp.MustCompile(`\]\(([A-Za-z0-9_-]+[/.])`)

// notesOf returns the text of the release page: the version's section of the
// changelog, with buttons that open the template in the portals of both Azures. An empty
// version is what is not released yet.
func notesOf(changelog, version, repository string) (string, error) {
	section := "Unreleased"
	if version != "" {
		section = strings.TrimPrefix(version, "v")
	}
	text, ok := sectionOf(changelog, section)
	if !ok {
		return "", fmt.Errorf("CHANGELOG.md has no section %s: write it before the tag", section)
	}
	if repository != "" && version != "" { // a release page is no folder of the repository
		text = relative.ReplaceAllString(text, "](https://github.com/"+repository+"/blob/"+version+"/$1")
	}
	var notes strings.Builder
	if address := pagesOf(repository); address != "" {
		form := "/#create/Microsoft.Template/uri/" + url.QueryEscape(address+templateName)
		fmt.Fprintf(&notes, "[![Deploy to Azure](https://aka.ms/deploytoazurebutton)](https://portal.azure.com%s)\n", form)
		fmt.Fprintf(&notes, "[![Deploy to Azure Gov](https://aka.ms/deploytoazuregovbutton)](https://portal.azure.us%s)\n\n", form)
	}
	fmt.Fprintf(&notes, "%s\n\nHow to deploy, upgrade and go back: docs/deploy.md. Checksums are in %s;\n", text, sumsName)
	fmt.Fprintf(&notes, "`gh attestation verify %s --repo %s` tells where the package comes from.\n", packageName, orElse(repository, "OWNER/NAME"))
	return notes.String(), nil
}

func sectionOf(changelog, name string) (string, bool) {
	found := heading.FindAllStringSubmatchIndex(changelog, -1)
	for i, match := range found {
		if changelog[match[2]:match[3]] != name {
			continue
		}
		end := len(changelog)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		text := strings.TrimSpace(changelog[match[1]:end])
		return text, text != ""
	}
	return "", false
}

// pagesOf is the address of the repository's GitHub Pages, where the template of the
// newest release lies: the portal's own page fetches it, and files of a release may
// not be fetched by other sites' pages.
func pagesOf(repository string) string {
	owner, name, ok := strings.Cut(repository, "/")
	if !ok {
		return ""
	}
	return "https://" + strings.ToLower(owner) + ".github.io/" + name + "/"
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
