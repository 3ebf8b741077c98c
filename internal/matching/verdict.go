package matching

// Rule is what made two one person. The zero Rule is none.
type Rule uint8

// Rules, the strongest first.
const (
	ByFile Rule = iota + 1
	ByObjectGUID
	ByObjectSID
	ByUPN
	ByOnPremisesUPN
	BySAM
	ByMail
)

var rules = [...]string{"", "usermatching.csv", "objectGUID", "objectSID", "upn", "onPremisesUpn", "samAccountName", "mail"}

// String returns the stable code of the rule.
func (r Rule) String() string { return rules[r] }

// Outcome is how it came out for one account or user.
type Outcome uint8

// Outcomes.
const (
	Unmatched Outcome = iota // Reason may say what stood in the way
	Matched                  // Partner is the other side
	Ambiguous                // Conflict names the others
	NearMiss                 // Reason says what is missing
	Barred                   // the account is disabled or a guest's
)

var outcomes = [...]string{"unmatched", "matched", "ambiguous", "nearMiss", "barred"}

// String returns the stable code of the outcome.
func (o Outcome) String() string { return outcomes[o] }

// Reason says why somebody is not matched. The zero Reason says nothing.
type Reason uint8

// Reasons.
const (
	// DiffersInCase and the three after it: a name that almost fits.
	DiffersInCase Reason = iota + 1
	DiffersInvisibly
	OtherName
	OtherDomain
	// NoSuchAccount and NoSuchUser: nobody has the name on a line of
	// usermatching.csv.
	NoSuchAccount
	NoSuchUser
	// Decided: who would fit was decided by a higher rule.
	Decided
	// AccountDisabled and AccountGuest: the account, or the one that would fit.
	AccountDisabled
	AccountGuest
)

var reasons = [...]struct{ code, advice string }{
	{"", "give both the same name, or add a line to usermatching.csv"},
	{"differsInCase", "write the name in usermatching.csv in the same upper and lower case"},
	{"differsInvisibly", "write the name anew: one of the two has characters that can't be seen"},
	{"otherName", "write the UPN and the UCServer user name into usermatching.csv, not another name or address of the person"},
	{"otherDomain", "if these are one person, write both names into usermatching.csv"},
	{"noSuchAccount", "correct the Entra user name in usermatching.csv, or take the line away"},
	{"noSuchUser", "correct the UCServer user name in usermatching.csv, or take the line away"},
	{"decidedByHigherRule", "if the other match is wrong, add a line to usermatching.csv"},
	{"accountDisabled", "enable the account in Entra, or match the user with another one in usermatching.csv"},
	{"accountGuest", "match the user with an account of this tenant: guests have no presence here"},
}

// String returns the stable code of the reason.
func (r Reason) String() string { return reasons[r].code }

// Advice says what an administrator can do.
func (r Reason) Advice() string { return reasons[r].advice }

// Verdict is the answer for one account or user.
type Verdict struct {
	ID      string // the account's object id, or the user's stable id
	Outcome Outcome
	// Rule matched, was ambiguous, or would have fitted.
	Rule   Rule
	Reason Reason
	// Line is that of usermatching.csv, 0 for none.
	Line int32
	// Partner is the id on the other side: the one matched, or the one that the
	// reason speaks of. It is empty without a list of UCServer's users.
	Partner string
	// Name is the matched partner's name: UCServer user name or UPN. In a near miss
	// by usermatching.csv it is the other name on the line.
	Name string
	// Conflict names the others, when ambiguous.
	Conflict *Conflict
}

// Conflict names who makes somebody ambiguous, in the order of ids.
type Conflict struct {
	With   []string // ids of the other side that fit
	Rivals []string // ids of the own side that fit one of these as well
	More   bool     // there are more than are named
}

// LineVerdict says why a line of usermatching.csv matches nobody.
type LineVerdict struct {
	Line
	Outcome Outcome
	Reason  Reason
	// Account and User are who has the names on the line, or else nearly has them;
	// empty for nobody.
	Account, User string
}
