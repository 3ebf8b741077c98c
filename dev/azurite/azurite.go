// Package azurite starts Azurite, Microsoft's storage emulator, from the
// repository's node_modules, and never leaves it behind.
//
// [Start] gives a server of its own, [ForTest] the one that a test binary shares
// (a start costs about a second). [NewWire] stands in front of a server, counts
// what goes over the wire and names points at which a test may kill somebody.
package azurite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"procallteams/dev/child"
	"procallteams/dev/pki"
)

// The account of every Azurite. Its key is published by Microsoft: no secret.
const (
	Account = "devstoreaccount1"
	Key     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// startTimeout bounds a start; a busy machine with two cores needs up to 10 s.
const startTimeout = 60 * time.Second

// keepAlive is how long Azurite keeps an idle connection, in seconds: longer than Go's
// clients do (90 s). Its own 5 s let it close one under a request, and a transaction,
// which nobody sends twice, failed now and then.
const keepAlive = "600"

// Options of a server; the zero value is plain http on free ports with data that
// disappears.
type Options struct {
	// Dir keeps the data. Empty: a temporary folder that Stop removes.
	Dir string
	// Ports on 127.0.0.1; 0 picks free ones.
	BlobPort, QueuePort, TablePort int
	// InMemory keeps nothing on disk, which spares a busy machine the regular
	// writing of the whole database. Dir then only holds certificates.
	InMemory bool
	// TLS makes the three services speak TLS with a certificate of this authority.
	TLS *pki.Authority
	// OAuth accepts bearer tokens too (--oauth basic, see [Credential]); needs TLS.
	OAuth bool
}

// Server is a running Azurite.
type Server struct {
	endpoints Endpoints
	process   *child.Process
	remove    string // the temporary folder
	stop      sync.Once
}

// Endpoints are the addresses of the three services without the account.
type Endpoints struct{ Blob, Queue, Table string }

// ConnectionString is what AzureWebJobsStorage wants.
func (e Endpoints) ConnectionString() string {
	scheme, _, _ := strings.Cut(e.Blob, ":")
	return fmt.Sprintf("DefaultEndpointsProtocol=%s;AccountName=%s;AccountKey=%s;BlobEndpoint=%s;QueueEndpoint=%s;TableEndpoint=%s;",
		scheme, Account, Key, e.BlobURL(), e.QueueURL(), e.TableURL())
}

// BlobURL is the blob service's address with the account.
func (e Endpoints) BlobURL() string { return e.Blob + "/" + Account }

// QueueURL is the queue service's address with the account.
func (e Endpoints) QueueURL() string { return e.Queue + "/" + Account }

// TableURL is the table service's address with the account.
func (e Endpoints) TableURL() string { return e.Table + "/" + Account }

// Start starts a server and returns when all three services listen.
func Start(ctx context.Context, o Options) (*Server, error) {
	program, err := program()
	if err != nil {
		return nil, err
	}
	if o.OAuth && o.TLS == nil {
		return nil, errors.New("start Azurite: OAuth needs TLS")
	}
	s := &Server{}
	dir := o.Dir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "azurite-"); err != nil {
			return nil, fmt.Errorf("make folder for Azurite: %w", err)
		}
		s.remove = dir
	} else if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder for Azurite: %w", err)
	}
	arguments := []string{
		program, "--silent", "--disableTelemetry", "--skipApiVersionCheck",
		"--blobPort", strconv.Itoa(o.BlobPort), "--queuePort", strconv.Itoa(o.QueuePort), "--tablePort", strconv.Itoa(o.TablePort),
		"--blobKeepAliveTimeout", keepAlive, "--queueKeepAliveTimeout", keepAlive, "--tableKeepAliveTimeout", keepAlive,
	}
	if o.InMemory {
		arguments = append(arguments, "--inMemoryPersistence")
	} else {
		arguments = append(arguments, "--location", dir)
	}
	if o.TLS != nil {
		files, err := writePair(o.TLS, dir)
		if err != nil {
			return nil, s.abandon(err)
		}
		arguments = append(arguments, files...)
	}
	if o.OAuth {
		arguments = append(arguments, "--oauth", "basic")
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.launch(ctx, arguments, dir); err != nil {
		return nil, s.abandon(err)
	}
	return s, nil
}

func (s *Server) abandon(err error) error {
	s.Stop()
	return fmt.Errorf("start Azurite: %w", err)
}

func (s *Server) launch(ctx context.Context, arguments []string, dir string) error {
	cmd := exec.Command("node", arguments...)
	cmd.Dir = dir
	output, input := io.Pipe()
	cmd.Stdout, cmd.Stderr = input, input
	process, err := child.Start(cmd)
	if err != nil {
		return err
	}
	s.process = process
	go func() {
		<-process.Done()
		_ = input.Close()
	}()
	listening := make(chan error, 1)
	go s.read(output, listening)
	select {
	case err := <-listening:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the three services: %w", ctx.Err())
	}
}

// read learns the addresses from Azurite's first lines ("Azurite Blob service is
// successfully listening at http://127.0.0.1:39753") and then drains its output.
func (s *Server) read(output io.Reader, listening chan<- error) {
	var said []string
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		line := lines.Text()
		before, url, ok := strings.Cut(line, " is successfully listening at ")
		if !ok {
			if said = append(said, line); len(said) > 20 {
				said = said[1:]
			}
			continue
		}
		switch strings.TrimSpace(before) {
		case "Azurite Blob service":
			s.endpoints.Blob = url
		case "Azurite Queue service":
			s.endpoints.Queue = url
		case "Azurite Table service":
			s.endpoints.Table = url
		}
		if s.endpoints.Blob != "" && s.endpoints.Queue != "" && s.endpoints.Table != "" {
			listening <- nil
			_, _ = io.Copy(io.Discard, output)
			return
		}
	}
	listening <- fmt.Errorf("it ended: %s", strings.Join(said, "; "))
}

// Endpoints are the server's addresses.
func (s *Server) Endpoints() Endpoints { return s.endpoints }

// ConnectionString is what AzureWebJobsStorage wants.
func (s *Server) ConnectionString() string { return s.endpoints.ConnectionString() }

// BlobURL is the blob service's address with the account.
func (s *Server) BlobURL() string { return s.endpoints.BlobURL() }

// QueueURL is the queue service's address with the account.
func (s *Server) QueueURL() string { return s.endpoints.QueueURL() }

// TableURL is the table service's address with the account.
func (s *Server) TableURL() string { return s.endpoints.TableURL() }

// PID is the id of Azurite's process.
func (s *Server) PID() int { return s.process.PID() }

// Stop ends Azurite by its own process id and removes its temporary folder. It
// may be called more than once.
func (s *Server) Stop() {
	s.stop.Do(func() {
		if s.process != nil {
			s.process.Kill()
		}
		if s.remove != "" {
			_ = os.RemoveAll(s.remove)
		}
	})
}

// program finds node_modules/azurite above the working directory, beside go.mod.
func program() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the repository: no go.mod above the working directory")
		}
		dir = parent
	}
	path := filepath.Join(dir, "node_modules", "azurite", "dist", "src", "azurite.js")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("azurite is not installed: run `npm ci` in the repository")
	} else if err != nil {
		return "", fmt.Errorf("find Azurite: %w", err)
	}
	if _, err := exec.LookPath("node"); err != nil {
		return "", errors.New("node is not installed: install Node.js 20 or newer, then run `npm ci` in the repository")
	}
	return path, nil
}

// writePair writes a server certificate and returns the arguments that name it.
func writePair(authority *pki.Authority, dir string) ([]string, error) {
	cert, key, err := authority.ServerPEM()
	if err != nil {
		return nil, err
	}
	certFile, keyFile := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	if err := os.WriteFile(certFile, cert, 0o644); err != nil {
		return nil, fmt.Errorf("write certificate: %w", err)
	}
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return []string{"--cert", certFile, "--key", keyFile}, nil
}
