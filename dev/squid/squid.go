// Package squid runs Squid, the proxy that many companies have, for as long as a
// test needs it: with a configuration of its own on a free port, knowing the names it
// is told, and with a log that says whom it was asked for.
package squid

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"procallteams/dev/child"
)

// Options of a proxy. The zero value lets everybody through to nobody.
type Options struct {
	// Names are the host names that the proxy knows, all of them as 127.0.0.1.
	Names []string
	// User and Password are asked for (Basic); empty for nobody.
	User, Password string
	// Denied are host names that it refuses to connect to.
	Denied []string
}

// Proxy is a running Squid.
type Proxy struct {
	// Address is host:port.
	Address string

	dir     string
	process *child.Process
}

// startTimeout bounds a start, which takes a second.
const startTimeout = 30 * time.Second

// program is where Debian has it, which is in nobody's PATH but root's.
const program = "/usr/sbin/squid"

// Start starts a proxy and returns when it listens.
func Start(ctx context.Context, o Options) (_ *Proxy, err error) {
	if _, err := os.Stat(program); err != nil {
		return nil, errors.New("squid is not installed: apt-get install squid")
	}
	p := &Proxy{}
	if p.dir, err = os.MkdirTemp("", "squid-"); err != nil {
		return nil, fmt.Errorf("make a folder for squid: %w", err)
	}
	defer func() {
		if err != nil {
			p.Stop()
		}
	}()
	if err := p.configure(o); err != nil {
		return nil, fmt.Errorf("configure squid: %w", err)
	}
	// -N: one process in the foreground.
	if p.process, err = child.Start(exec.Command(program, "-N", "-f", p.path("squid.conf"))); err != nil {
		return nil, err
	}
	return p, p.awaitListening(ctx)
}

func (p *Proxy) path(name string) string { return filepath.Join(p.dir, name) }

func (p *Proxy) configure(o Options) error {
	// Started by root, it becomes the user "proxy", who has to get at all this.
	if err := os.Chmod(p.dir, 0o777); err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	p.Address = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	lines := []string{
		"http_port " + p.Address, "visible_hostname squid.test", "pid_filename none", "coredump_dir none",
		"hosts_file " + p.path("hosts"), "dns_nameservers 127.0.0.1", "max_filedescriptors 1024", "cache deny all", "shutdown_lifetime 0 seconds",
		"access_log stdio:" + p.path("access.log") + " logformat=hosts", "cache_log " + p.path("cache.log"), "netdb_filename none",
	}
	lines = append([]string{"logformat hosts %>Hs %rm %>rd:%>rP %un"}, lines...)
	if len(o.Denied) > 0 {
		lines = append(lines, "acl denied dstdomain "+strings.Join(o.Denied, " "), "http_access deny denied")
	}
	if o.User != "" {
		lines = append(lines, "auth_param basic program /usr/lib/squid/basic_ncsa_auth "+p.path("passwords"),
			"auth_param basic children 2 startup=1 idle=1", "auth_param basic credentialsttl 1 second", "acl known proxy_auth REQUIRED", "http_access allow known")
	} else {
		lines = append(lines, "http_access allow all")
	}
	lines = append(lines, "http_access deny all", "")
	var hosts strings.Builder
	for _, name := range o.Names {
		fmt.Fprintf(&hosts, "127.0.0.1 %s\n", name)
	}
	return errors.Join(
		os.WriteFile(p.path("squid.conf"), []byte(strings.Join(lines, "\n")), 0o644),
		os.WriteFile(p.path("hosts"), []byte(hosts.String()), 0o644),
		p.SetPassword(o.User, o.Password),
	)
}

// SetPassword changes the password of a user, from the next second on. The file's form
// is that of basic_ncsa_auth: MD5 is one that it knows without a library.
func (p *Proxy) SetPassword(user, password string) error {
	return os.WriteFile(p.path("passwords"), fmt.Appendf(nil, "%s:%x\n", user, md5.Sum([]byte(password))), 0o644)
}

func (p *Proxy) awaitListening(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "tcp", p.Address); err == nil {
			return conn.Close()
		}
		select {
		case <-p.process.Done():
			said, _ := os.ReadFile(p.path("cache.log"))
			return fmt.Errorf("squid ended at once: %s", said)
		case <-ctx.Done():
			return fmt.Errorf("squid does not listen: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Request is a line of the log.
type Request struct {
	Status string // of its answer: "200"
	Method string
	Host   string // host:port
	User   string // "-" for nobody
}

// Log is whom the proxy was asked for. A tunnel is written down when it ends.
func (p *Proxy) Log() ([]Request, error) {
	text, err := os.ReadFile(p.path("access.log"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read squid's log: %w", err)
	}
	var all []Request
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[1] != "-" { // "-": asked for nothing
			all = append(all, Request{fields[0], fields[1], fields[2], fields[3]})
		}
	}
	return all, nil
}

// Halt makes the proxy unreachable and ends its tunnels. The log stays readable.
func (p *Proxy) Halt() {
	if p.process == nil {
		return
	}
	// SIGTERM lets it write its log.
	_ = syscall.Kill(p.process.PID(), syscall.SIGTERM)
	select {
	case <-p.process.Done():
	case <-time.After(10 * time.Second):
		p.process.Kill()
	}
}

// Stop ends the proxy and removes its files.
func (p *Proxy) Stop() {
	p.Halt()
	_ = os.RemoveAll(p.dir)
}
