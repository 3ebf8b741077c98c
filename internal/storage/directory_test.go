package storage

import (
	"bytes"
	"errors"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/matching/participation"
)

func oneUser(name string) *directory.Users {
	return directory.NewUsers([]matching.User{{ID: "1", Name: name}})
}

// blobs counts what lies in the tenant's folders.
func blobs(t *testing.T, s *Storage) (n int) {
	t.Helper()
	for _, folder := range []string{"/accounts/", "/users/", "/matching/", "/directory/"} {
		for _, err := range s.blobsIn(t.Context(), tenantA+folder) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	return n
}

func TestWhoSwapsAPointerOnAnOldVersionChangesNothing(t *testing.T) {
	s := fresh(t)
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	first, err := s.PutUsers(t.Context(), tenantA, directory.UsersRef{}, oneUser("ada"), directory.UsersRef{At: at, By: "connector"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutUsers(t.Context(), tenantA, directory.UsersRef{}, oneUser("eve"), directory.UsersRef{At: at}); !errors.Is(err, ErrChanged) {
		t.Errorf("PutUsers() by somebody who has seen no list = %v; want ErrChanged", err)
	}
	second, err := s.PutUsers(t.Context(), tenantA, first, oneUser("bob"), directory.UsersRef{At: at, By: "connector"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PutUsers(t.Context(), tenantA, first, oneUser("eve"), directory.UsersRef{At: at}); !errors.Is(err, ErrChanged) {
		t.Errorf("PutUsers() on an old version = %v; want ErrChanged", err)
	}
	now, err := s.Now(t.Context(), tenantA)
	if err != nil || now.Users != second {
		t.Errorf("pointer = %+v, %v; want %+v", now.Users, err, second)
	}
	users, err := s.Users(t.Context(), now.Users)
	if err != nil || len(users.People) != 1 || users.People[0].Name != "bob" {
		t.Errorf("users = %+v, %v", users, err)
	}
	if _, err := s.Users(t.Context(), first); !errors.Is(err, ErrNotFound) {
		t.Errorf("the list before = %v; want that it is gone", err)
	}
	if n := blobs(t, s); n != 1 {
		t.Errorf("%d blobs; want the one in use", n)
	}
}

func TestOfUploadsAtOnceOneIsStored(t *testing.T) {
	s := fresh(t)
	for range 5 {
		now, err := s.Now(t.Context(), tenantA)
		if err != nil {
			t.Fatal(err)
		}
		var group errgroup.Group
		won := make(chan directory.ListRef, 8)
		for i := range 8 {
			group.Go(func() error {
				file := bytes.Repeat([]byte("a,b\n"), i+1)
				ref, err := s.PutList(t.Context(), tenantA, now.List, file, directory.ListRef{Lines: i + 1, Source: directory.Uploaded})
				if err == nil {
					won <- ref
				} else if !errors.Is(err, ErrChanged) {
					return err
				}
				return nil
			})
		}
		if err := group.Wait(); err != nil || len(won) != 1 {
			t.Fatalf("%d uploads were stored, %v; want one", len(won), err)
		}
		ref := <-won
		file, err := s.List(t.Context(), ref)
		if err != nil || len(file) != 4*ref.Lines {
			t.Errorf("the file has %d bytes, %v; want those of the one that was stored", len(file), err)
		}
	}
	if n := blobs(t, s); n != 1 {
		t.Errorf("%d blobs; want the one in use", n)
	}
}

func TestASwapWhoseAnswerWasLostIsNoLostRace(t *testing.T) {
	s, lose := deaf(t)
	ref := directory.AccountsRef{}
	for i, method := range []string{http.MethodPost, http.MethodPut} {
		accounts := directory.NewAccounts([]matching.Account{{ID: "1", UPN: "ada@contoso.com", SAM: string(rune('a' + i))}}, nil)
		if i == 0 { // the table and the container are there already
			if _, err := s.Insert(t.Context(), Row{Partition: tenantA, Key: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.PutBlob(t.Context(), tenantA+"/x", nil); err != nil {
			t.Fatal(err)
		}
		packed, err := accounts.Encode()
		if err != nil {
			t.Fatal(err)
		}
		blob := tenantA + "/accounts/" + method
		if err := s.PutBlob(t.Context(), blob, packed); err != nil {
			t.Fatal(err)
		}
		lose.method.Store(method)
		next := ref
		next.Blob = blob
		if ref, err = s.PointAtAccounts(t.Context(), tenantA, ref, next); err != nil || lose.method.Load() != "" {
			t.Fatalf("PointAtAccounts() = %v", err)
		}
	}
	now, err := s.Now(t.Context(), tenantA)
	if err != nil || now.Accounts != ref {
		t.Errorf("pointer = %+v, %v; want %+v", now.Accounts, err, ref)
	}
}

func TestADirectoryAndItsReportAreReplacedTogether(t *testing.T) {
	s := fresh(t)
	accounts := directory.NewAccounts([]matching.Account{{ID: "1", UPN: "ada@contoso.com"}}, nil)
	d, report := directory.Compile(accounts, nil, matching.List{}, participation.Rules{Everyone: true}, participation.Rules{})
	ref := directory.Ref{}
	for _, inputs := range []string{"a", "b", "c"} {
		var err error
		if ref, err = s.PutDirectory(t.Context(), tenantA, ref, d, report, directory.Ref{At: time.Now(), Inputs: inputs}); err != nil {
			t.Fatal(err)
		}
	}
	if again, err := s.Directory(t.Context(), ref); err != nil || len(again.People) != 1 || !again.People[0].Reads {
		t.Errorf("directory = %+v, %v", again, err)
	}
	if again, err := s.Report(t.Context(), ref); err != nil || len(again.Accounts) != 1 {
		t.Errorf("report = %+v, %v", again, err)
	}
	if n := blobs(t, s); n != 2 {
		t.Errorf("%d blobs; want two", n)
	}
	if _, err := s.PutDirectory(t.Context(), tenantA, directory.Ref{}, d, report, directory.Ref{}); !errors.Is(err, ErrChanged) {
		t.Errorf("PutDirectory() on an old version = %v; want ErrChanged", err)
	}
	if n := blobs(t, s); n != 2 {
		t.Errorf("%d blobs after a lost race; want two", n)
	}
}
