package storage

import (
	"crypto/rand"
	"os"
	"strings"
	"testing"

	"procallteams/dev/azurite"
	"procallteams/internal/secret"
	"procallteams/internal/settings"
)

func TestMain(m *testing.M) { os.Exit(azurite.Main(m)) }

// fresh opens the shared Azurite with a table and a container of its own.
func fresh(t *testing.T) *Storage {
	t.Helper()
	name := "t" + strings.ToLower(rand.Text())
	connection := settings.Storage{ConnectionString: secret.New(azurite.ForTest(t).ConnectionString())}
	s, err := open(connection, nil, nil, name, name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
