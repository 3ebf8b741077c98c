package settings

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
)

// bypass reads a list of exceptions from the proxy and writes them in the forms of
// NO_PROXY. wrong says of each other entry what is wrong, by its position.
func bypass(entries []string) (list, wrong []string) {
	for i, entry := range entries {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		written, ok := exception(entry)
		if !ok {
			wrong = append(wrong, fmt.Sprintf("entry %d can't be read: a host, a .suffix, an address, a network such as 10.0.0.0/8, or *", i+1))
			continue
		}
		list = append(list, written)
	}
	return list, wrong
}

// octets is the beginning of an IPv4 address, as Windows writes a network: 10.* or
// 192.168.*.*
var octets = regexp.MustCompile(`^(\d{1,3}(?:\.\d{1,3}){0,2})((?:\.\*){1,3})$`)

// exception writes one entry in a form of NO_PROXY, [Local] included.
func exception(entry string) (string, bool) {
	if entry == "*" || strings.EqualFold(entry, Local) {
		return strings.ToLower(entry), true
	}
	if prefix, err := netip.ParsePrefix(entry); err == nil {
		return prefix.Masked().String(), true
	}
	if match := octets.FindStringSubmatch(entry); match != nil {
		given := strings.Count(match[1], ".") + 1
		prefix, err := netip.ParsePrefix(match[1] + strings.Repeat(".0", 4-given) + fmt.Sprintf("/%d", 8*given))
		return prefix.String(), err == nil
	}
	if address, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		return address.String(), true
	}
	host, port := splitPort(entry)
	if port != "" && !isPort(port) || strings.HasSuffix(entry, ":") {
		return "", false
	}
	suffix := strings.TrimPrefix(strings.TrimPrefix(host, "*"), ".")
	if !isHost(suffix) || strings.HasPrefix(host, "*") && !strings.HasPrefix(host, "*.") {
		return "", false
	}
	if port == "" {
		return host, true
	}
	return net.JoinHostPort(host, port), true
}

// Local, as an exception, stands for every name without a full stop (Windows).
const Local = "<local>"

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)

func isHost(name string) bool {
	_, err := netip.ParseAddr(name)
	return err == nil || len(name) <= 253 && hostName.MatchString(name)
}
