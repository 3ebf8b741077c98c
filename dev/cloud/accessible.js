// What a person with a screen reader, a keyboard, a small window or weak eyes would
// stumble over on the page that is shown, one sentence each (WCAG 2.2: 1.3.1, 1.4.3,
// 1.4.10, 1.4.11, 2.4.2, 2.4.6, 2.5.8, 4.1.2).
(() => {
  const faults = [];
  const all = selector => [...document.querySelectorAll(selector)];
  const shown = element => element.getClientRects().length > 0;
  const called = element => (element.getAttribute("aria-label") || element.textContent).trim();

  for (const details of all("details")) details.open = true;

  const ids = all("[id]").map(element => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push("the id " + id + " is there twice");
  for (const name of ["aria-describedby", "aria-labelledby"])
    for (const element of all("[" + name + "]"))
      for (const id of element.getAttribute(name).split(/\s+/))
        if (id && !ids.includes(id)) faults.push(name + " leads to " + id + ", which is not there");
  for (const link of all("a[href^='#']"))
    if (!ids.includes(link.getAttribute("href").slice(1))) faults.push("the link " + called(link) + " leads nowhere");

  for (const field of all("input:not([type=hidden]), select, textarea"))
    if (!field.labels.length) faults.push("the field " + field.name + " has no label");
  const names = all("button, summary").map(called);
  for (const name of names) {
    if (!name) faults.push("a button has no name");
    if (names.indexOf(name) !== names.lastIndexOf(name)) faults.push("two buttons are called " + name);
  }
  for (const table of all("table"))
    if (!table.querySelector("thead th[scope=col]")) faults.push("a table has no column headers");

  let level = 0;
  for (const heading of all("h1, h2, h3, h4")) {
    const its = Number(heading.tagName[1]);
    if (its > level + 1) faults.push("the heading " + called(heading) + " skips a level");
    level = its;
  }
  if (all("h1").length !== 1 || !document.title || !document.documentElement.lang || all("main").length !== 1)
    faults.push("the page lacks one h1, a title, a language or one main part");

  const over = document.documentElement.scrollWidth - window.innerWidth;
  if (over > 0) faults.push("the page is " + over + " pixels wider than the window");

  const numbers = colour => { const n = colour.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const luminance = colour => {
    const [r, g, b] = numbers(colour).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (numbers(colour)[3] > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (a, b) => {
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, text = texts.currentNode.data.trim();
    if (!text || !shown(element) || element.closest("script, style, option")) continue;
    const ratio = contrast(getComputedStyle(element).color, ground(element));
    if (ratio < 4.5) faults.push("the contrast of " + text.slice(0, 30) + " is " + ratio.toFixed(2));
  }
  for (const field of all("input:not([type=hidden]):not([type=checkbox]):not([type=radio]), select, textarea")) {
    const ratio = contrast(getComputedStyle(field).borderTopColor, ground(field.parentElement));
    if (shown(field) && ratio < 3) faults.push("the contrast of the field " + field.name + " is " + ratio.toFixed(2));
  }
  for (const target of all("button, summary, nav a"))
    if (shown(target) && target.getBoundingClientRect().height < 24) faults.push(called(target) + " is less than 24 pixels high");
  return faults.join("\n");
})()
