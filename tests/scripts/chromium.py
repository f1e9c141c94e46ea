"""Headless Chromium for tests of pages; see find()."""

import html
import json
import pathlib
import re
import shutil
import subprocess

WIDTHS = (390, 768, 1280)

# Everything is unfolded, then each box that is wider than its place and each text that leaves its picture is named.
MEASURE = """<script>
addEventListener("load", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  const found = [], root = document.documentElement, name = (e) => e.tagName + " " + (e.id || e.className || "") + " "
    + (e.textContent || "").trim().slice(0, 40);
  if (root.scrollWidth > root.clientWidth) found.push("page: " + root.scrollWidth + " > " + root.clientWidth);
  for (const e of document.body.querySelectorAll("*:not(svg *)")) {
    if (e.clientWidth > 0 && e.scrollWidth > e.clientWidth + 1)
      found.push(name(e) + ": " + e.scrollWidth + " > " + e.clientWidth);
    if (e.getBoundingClientRect().right > root.clientWidth + 0.5) found.push(name(e) + ": beyond the right edge");
  }
  let smallest = 99;
  for (const svg of document.querySelectorAll("svg")) {
    const box = svg.viewBox.baseVal, scale = svg.getBoundingClientRect().width / box.width;
    for (const text of svg.querySelectorAll("text")) {
      const t = text.getBBox(), turned = text.hasAttribute("transform");
      smallest = Math.min(smallest, scale * parseFloat(getComputedStyle(text).fontSize));
      if (!turned && (t.x < 0 || t.x + t.width > box.width + 0.5 || t.y < 0 || t.y + t.height > box.height + 0.5))
        found.push("figure: \\"" + text.textContent + "\\" leaves the picture");
    }
  }
  const texts = document.querySelectorAll("svg text").length;
  parent.postMessage({width: root.clientWidth, found, smallest, texts}, "*");
});
</script>"""


def find():
    """The program, or None."""
    return next((path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path), None)


def run(arguments):
    return subprocess.run([find(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                           "--allow-file-access-from-files", *arguments], check=True, capture_output=True, text=True,
                          timeout=300).stdout


def measure(page, folder, widths=WIDTHS):
    """What MEASURE finds in a page at each width: {"width", "found", "smallest", "texts"}."""
    folder = pathlib.Path(folder)
    measured = folder / "measured.html"
    measured.write_text(pathlib.Path(page).read_text(encoding="utf-8").replace("</body>", MEASURE + "</body>"),
                        encoding="utf-8")
    frames = "".join(f'<iframe src="{measured.name}" width="{width}" height="900" style="border:0"></iframe>'
                     for width in widths)
    wrapper = folder / "wrapper.html"
    wrapper.write_text(f"""<!DOCTYPE html><meta charset="utf-8"><pre id="said"></pre>{frames}<script>
const said = [];
addEventListener("message", (event) => {{
  said.push(event.data);
  if (said.length == {len(widths)}) document.getElementById("said").textContent = JSON.stringify(said);
}});
</script>""", encoding="utf-8")
    dom = run(["--virtual-time-budget=60000", "--dump-dom", wrapper.as_uri()])
    said = re.search(r'<pre id="said">(.*?)</pre>', dom, re.DOTALL)
    return sorted(json.loads(html.unescape(said.group(1))), key=lambda one: one["width"])


def screenshot(page, picture, width, height, dark=False):
    """The top of a page as a PNG: its frame is as wide as asked for, which the browser's window may not be."""
    page, picture = pathlib.Path(page).resolve(), pathlib.Path(picture).resolve()
    wrapper = picture.with_suffix(".html")
    wrapper.write_text(f'<!DOCTYPE html><meta name="color-scheme" content="light dark"><body style="margin:0">'
                       f'<iframe src="{page.as_uri()}" width="{width}" height="{height}" style="border:0"></iframe>',
                       encoding="utf-8")
    run([f"--blink-settings=preferredColorScheme={0 if dark else 1}", f"--window-size={max(width, 500)},{height}",
         f"--screenshot={picture}", wrapper.as_uri()])
