// Offers the other versions of the site, whose folders lie beside that of this one. versions.json in
// the folder above names them, newest first (docs/publish.py writes it). Without that file, or without
// a server, the choice is the version of this page alone.
(async () => {
  const select = document.getElementById("version");
  if (!select) return;
  const here = new URL(document.documentElement.dataset.content_root, location.href);
  const site = new URL("../", here);
  let known = [];
  try {
    const found = await fetch(new URL("versions.json", site));
    if (found.ok) known = await found.json();
  } catch { /* a page from a disk may not fetch */ }
  const own = select.dataset.version;
  const names = known.includes(own) ? known : [own, ...known];
  select.replaceChildren(...names.map((name) => new Option(name, name, false, name === own)));
  select.addEventListener("change", async () => {
    const other = new URL(`${select.value}/`, site);
    const same = new URL(location.href.slice(here.href.length), other);
    const there = await fetch(same, {method: "HEAD"}).then((found) => found.ok, () => false);
    location.assign(there ? same : other);
  });
})();
