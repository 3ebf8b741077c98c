package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"procallteams/internal/page"
)

func render(p page.Page) (string, string) {
	answer := httptest.NewRecorder()
	page.Render(answer, 200, p)
	return answer.Body.String(), answer.Header().Get("Content-Security-Policy")
}

func TestThePolicyAllowsExactlyWhatThePageHolds(t *testing.T) {
	for _, p := range []page.Page{{Title: "plain"}, {Title: "posts on", AutoSubmit: true, Body: `<form method="post"><button>Go on</button></form>`}} {
		body, policy := render(p)
		for tag, directive := range map[string]string{"style": "style-src", "script": "script-src"} {
			found := regexp.MustCompile(`(?s)<` + tag + `>(.*?)</` + tag + `>`).FindStringSubmatch(body)
			if found == nil {
				if strings.Contains(policy, directive) {
					t.Errorf("%s: %s is allowed without need", p.Title, tag)
				}
				continue
			}
			sum := sha256.Sum256([]byte(found[1]))
			if want := directive + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q does not allow the page's own %s", p.Title, policy, tag)
			}
		}
	}
}

func TestTitlesAndNamesAreEscaped(t *testing.T) {
	body, _ := render(page.Page{Title: "<script>alert(1)</script>", User: "<b>"})
	if strings.Contains(body, "<script>") || strings.Contains(body, "<b>") {
		t.Errorf("markup from outside reached the page:\n%s", body)
	}
}

func TestNothingIsLoadedFromElsewhere(t *testing.T) {
	body, _ := render(page.Page{Title: "x", User: "y", AutoSubmit: true})
	if found := regexp.MustCompile(`(?i)(src|href|action)="(https?:)?//|url\(`).FindString(body); found != "" {
		t.Errorf("the page loads %s", found)
	}
}
