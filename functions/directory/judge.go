package directory

import (
	"context"

	"procallteams/internal/directory"
	"procallteams/internal/matching"
	"procallteams/internal/storage"
	"procallteams/internal/userlist"
)

// compare judges a list, beside what is in force.
func (f *Function) compare(ctx context.Context, now storage.Now, users *directory.Users, r *Receipt) (userlist.Judgement, error) {
	if r.same(now, users) {
		return f.inForce(ctx, now, users)
	}
	j, err := f.judge(ctx, now, users)
	if err != nil || j.Report == nil {
		return j, err
	}
	if now.Users.Blob != "" && isInForce(now) { // the usual case needs half of it
		past, err := f.Storage.Report(ctx, now.Directory)
		if err == nil {
			j.Compare(past)
		}
		return j, err
	}
	var before *directory.Users // not known without a list
	if now.Users.Blob != "" {
		before = &directory.Users{People: r.before}
	}
	past, err := f.inForce(ctx, now, before)
	if err == nil && now.Users.Blob == "" && now.Users.Count == 0 {
		r.tookPart = takePart(past.Directory)
		r.nobodyStays = r.tookPart > 0 && takePart(j.Directory) == 0
	}
	if err == nil {
		j.Compare(past.Report)
	}
	return j, err
}

// takePart counts who takes part; nobody is known yet where d is nil.
func takePart(d *directory.Directory) int {
	if d == nil {
		return 0
	}
	return d.Count(directory.TakesPart)
}

// judge says what the next sync will make of a list, nil for none.
func (f *Function) judge(ctx context.Context, now storage.Now, users *directory.Users) (userlist.Judgement, error) {
	j := userlist.Judgement{}
	if users != nil {
		j.Users = users.People
	}
	if now.Accounts.Blob == "" {
		return j, nil // Entra's side was not read yet
	}
	accounts, err := f.Storage.Accounts(ctx, now.Accounts)
	if err != nil {
		return j, err
	}
	var list matching.List
	if now.List.Blob != "" {
		file, err := f.Storage.List(ctx, now.List)
		if err != nil {
			return j, err
		}
		if list, err = matching.Parse(file); err != nil {
			return j, err
		}
	}
	reading, writing := now.Settings.TeamsToProCall, now.Settings.ProCallToTeams
	j.Directory, j.Report = directory.Compile(accounts, users, list, reading.Rules(), writing.Rules())
	return j, nil
}

// fingerprint names what the next sync makes the directory of.
func fingerprint(now storage.Now) string {
	reading, writing := now.Settings.TeamsToProCall, now.Settings.ProCallToTeams
	return directory.Fingerprint(now.Accounts, now.Users, now.List, string(reading), string(writing))
}
