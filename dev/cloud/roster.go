package cloud

import (
	"encoding/base64"
	"fmt"
	"strings"

	"procallteams/dev/graph"
	"procallteams/dev/ucserver"
)

// roster gives UCServer users who fit the accounts in every way there is: by each
// rule, nearly, ambiguously, and not at all. Some accounts have nobody.
func (c *Cloud) roster() {
	var members []ucserver.Member
	number := 0
	for _, u := range c.Graph.Users() {
		if u.UserType == "Guest" {
			continue
		}
		number++
		members = append(members, memberOf(u, number)...)
	}
	members = append(members,
		ucserver.Member{ID: "uc-door", Name: "door@procall.local", SIP: "sip:door@procall.local", Groups: []string{"Devices"}},
		ucserver.Member{ID: "uc-fax", Name: "fax@procall.local", Groups: []string{"Devices"}},
	)
	c.UCServer.Users().Put(members...)
}

// memberOf returns who UCServer has for an account; the first ones, who can sign in
// on the pages, are named like in Entra.
func memberOf(u graph.User, number int) []ucserver.Member {
	m := ucserver.Member{ID: fmt.Sprintf("uc-%05d", number), Name: u.UserPrincipalName, Groups: []string{"Everybody", fmt.Sprintf("Floor %d", 1+number%3)}}
	local, _, _ := strings.Cut(u.UserPrincipalName, "@")
	abroad := local + "@procall.local"
	switch {
	case number <= len(accounts):
	case u.OnPremisesImmutableID != "" && number%2 == 0:
		m.Name, m.ObjectGUID = "uc."+abroad, guidText(u.OnPremisesImmutableID)
	case u.OnPremisesSamAccountName != "":
		m.Name, m.SAM = "uc."+abroad, `CORP\`+u.OnPremisesSamAccountName
	case number%10 == 4:
		m.Name = abroad // nearly: another domain
	case number%10 == 5:
		return nil // nobody
	case number%20 == 8:
		// Two who claim one account.
		first, second := m, m
		first.Name, first.Mail = "desk."+abroad, u.Mail
		second.ID, second.Name, second.Mail = m.ID+"-b", "mobile."+abroad, u.Mail
		return []ucserver.Member{first, second}
	case number%10 == 1:
		m.Name, m.Mail = "uc."+abroad, strings.ToUpper(u.Mail)
	}
	return []ucserver.Member{m}
}

// guidText writes the bytes of an immutable id as Active Directory shows an
// objectGUID: Windows keeps the first three groups with the lowest byte first.
func guidText(immutableID string) string {
	b, err := base64.StdEncoding.DecodeString(immutableID)
	if err != nil || len(b) != 16 {
		return ""
	}
	return fmt.Sprintf("%02X%02X%02X%02X-%02X%02X-%02X%02X-%X-%X", b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8:10], b[10:])
}
