package azurite

import (
	"context"
	"sync"
	"testing"
)

// shared is the one server of a test binary.
var shared struct {
	sync.Mutex
	owned  bool // Main runs and will stop the server
	server *Server
	err    error
}

// Main runs the tests of a package and then stops the server that [ForTest]
// started, if any:
//
//	func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }
func Main(m *testing.M) int {
	shared.Lock()
	shared.owned = true
	shared.Unlock()
	code := m.Run()
	shared.Lock()
	defer shared.Unlock()
	shared.owned = false
	if shared.server != nil {
		shared.server.Stop()
		shared.server = nil
	}
	return code
}

// ForTest returns the server that all tests of the binary share, and starts it
// at the first call. Tests keep apart by fresh names of tables, containers and
// queues. The package's TestMain must call [Main].
func ForTest(t testing.TB) *Server {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.owned {
		t.Fatal("azurite.ForTest: TestMain must call azurite.Main, which stops the server")
	}
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = Start(context.Background(), Options{InMemory: true})
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server
}
