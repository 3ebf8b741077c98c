package cloud_test

import (
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// screenshots is where pictures of the run are kept: the README shows some.
var screenshots = flag.String("screenshots", "", "folder for pictures of the pages")

// chromium is a person's browser in a test.
type chromium struct {
	t   *testing.T
	ctx context.Context
}

// openChromium starts a browser of phone width or wider, in light or dark mode.
func openChromium(t *testing.T, width, height int, dark bool) chromium {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not installed: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.WindowSize(width, height), chromedp.UserDataDir(t.TempDir()))
	if dark {
		options = append(options, chromedp.Flag("blink-settings", "preferredColorScheme=0"))
	}
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		// Until the browser is gone, its profile can't be removed.
		closing, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_ = chromedp.Cancel(closing)
		closeTab()
	})
	// The first call starts the browser, which lives as long as its context.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), int64(height))); err != nil {
		t.Fatal(err)
	}
	return chromium{t, ctx}
}

// do runs actions within a bounded time.
func (c chromium) do(actions ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		c.fail(err.Error())
	}
}

// fail ends the test with what the page shows.
func (c chromium) fail(why string) {
	c.t.Helper()
	c.picture("failed")
	ctx, cancel := context.WithTimeout(c.ctx, 5*time.Second)
	defer cancel()
	address, _ := chromedp.Run(ctx, chromedp.Location())
	text, _ := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("body")))
	c.t.Fatalf("%s at %s:\n%s", why, address, text)
}

// open goes to an address as if it was typed.
func (c chromium) open(address string) {
	c.t.Helper()
	c.do(chromedp.Navigate(address))
}

// fill writes into a field.
func (c chromium) fill(selector, text string) {
	c.t.Helper()
	c.do(chromedp.SetValue(chromedp.CSS(selector), text))
}

// tick switches a checkbox on.
func (c chromium) tick(selector string) {
	c.t.Helper()
	c.do(chromedp.Evaluate[chromedp.Void]("document.querySelector(" + strconv.Quote(selector) + ").checked = true"))
}

// click presses the element that a CSS selector names and waits until the page
// is gone and the next one has loaded.
func (c chromium) click(selector string) {
	c.t.Helper()
	c.do(chromedp.WaitVisible(chromedp.CSS(selector)),
		chromedp.Evaluate[chromedp.Void]("window.leaving = true"),
		chromedp.Click(chromedp.CSS(selector)))
	ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
	defer cancel()
	for {
		arrived, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("window.leaving !== true && document.readyState === 'complete'"))
		if err == nil && arrived {
			return
		}
		if ctx.Err() != nil {
			c.fail("no page comes after " + selector)
		}
	}
}

// has reports whether the page holds an element.
func (c chromium) has(selector string) bool {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	found, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("document.querySelector("+strconv.Quote(selector)+") !== null"))
	if err != nil {
		c.fail(err.Error())
	}
	return found
}

// read returns what a person reads on the page; an error while one page gives
// way to the next.
func (c chromium) read() (string, error) {
	ctx, cancel := context.WithTimeout(c.ctx, 30*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
}

// text is read, of a page that stays.
func (c chromium) text() string {
	c.t.Helper()
	text, err := c.read()
	if err != nil {
		c.fail(err.Error())
	}
	return text
}

// see waits until the page, loaded again and again, shows all the words.
func (c chromium) see(patience time.Duration, words ...string) {
	c.t.Helper()
	c.await(patience, true, words)
}

// arrive waits until the browser has come by itself to a page with all the words:
// pages on the way submit themselves and must not be loaded again.
func (c chromium) arrive(words ...string) {
	c.t.Helper()
	c.await(30*time.Second, false, words)
}

func (c chromium) await(patience time.Duration, reload bool, words []string) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		text, err := c.read()
		missing := ""
		for _, word := range words {
			if err != nil || !strings.Contains(text, word) {
				missing = word
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) && err == nil {
			c.fail("the page does not show " + missing + " within " + patience.String())
		}
		if reload {
			c.do(chromedp.Reload())
		} else {
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// fits demands that nothing sticks out of the window to the right.
func (c chromium) fits() {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, 10*time.Second)
	defer cancel()
	over, err := chromedp.Run(ctx, chromedp.Evaluate[int]("document.documentElement.scrollWidth - window.innerWidth"))
	if err != nil || over > 0 {
		c.fail("the page is " + strconv.Itoa(over) + " pixels wider than the window")
	}
}

// picture keeps the page as an image, where pictures are wanted.
func (c chromium) picture(name string) {
	c.t.Helper()
	c.keep(name, chromedp.FullScreenshot(100))
}

// part keeps one element of the page, for a document.
func (c chromium) part(name, selector string) {
	c.t.Helper()
	c.keep(name, chromedp.Screenshot(chromedp.CSS(selector)))
}

func (c chromium) keep(name string, screenshot chromedp.Action[[]byte]) {
	c.t.Helper()
	if *screenshots == "" {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, 15*time.Second)
	defer cancel()
	image, err := chromedp.Run(ctx, screenshot)
	if err != nil {
		c.t.Logf("take picture %s: %v", name, err)
		return
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), image, 0o644); err != nil {
		c.t.Error(err)
	}
}
