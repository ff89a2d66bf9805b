// Make the version switcher work on every host, in every folder, and on pages of every depth: the theme resolves its list
// and the URLs in it against the URL in the address bar, which need not end with the name of a page.
(() => {
  const site = new URL(document.documentElement.dataset.content_root || "./", location.href);
  DOCUMENTATION_OPTIONS.theme_switcher_json_url = new URL("_static/versions.json", site).href;
  const here = DOCUMENTATION_OPTIONS.theme_switcher_version_match;
  const resolve = (link) => {
    const page = link.getAttribute("href");
    // This version may be served under another name, such as `latest`.
    const relative = link.dataset.version === here ? DOCUMENTATION_OPTIONS.pagename + ".html" : page;
    link.setAttribute("href", new URL(relative, site).href);
  };
  addEventListener("DOMContentLoaded", () => {
    for (const menu of document.querySelectorAll(".version-switcher__menu")) {
      new MutationObserver((changes) => {
        for (const { addedNodes } of changes) addedNodes.forEach((it) => it.localName === "a" && resolve(it));
      }).observe(menu, { childList: true });
    }
  });
})();
