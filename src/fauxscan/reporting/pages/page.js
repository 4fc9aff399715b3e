"use strict";
// The page's only script: the theme, tables that sort, filter and page, and long galleries. Texts are set as texts.
(() => {
  const root = document.documentElement;
  const make = (name, text, style) => {
    const node = document.createElement(name);
    if (text !== undefined && text !== null) node.textContent = text;
    if (style) node.className = style;
    return node;
  };
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  for (const button of document.querySelectorAll("button.theme")) {
    const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; name(); });
    name();
  }
  for (const button of document.querySelectorAll("button[data-more]")) {
    button.addEventListener("click", () => {
      for (const hidden of document.querySelectorAll(`#${button.dataset.more} .more-hidden`)) hidden.classList.remove("more-hidden");
      button.remove();
    });
  }
  const reveal = () => {  // a link to a picture that is not shown yet
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.classList.contains("more-hidden")) { target.classList.remove("more-hidden"); target.scrollIntoView(); }
  };
  addEventListener("hashchange", reveal);

  const shown = (column, value) => {
    if (value === null || value === undefined) return "";
    if (column.type === "p") {
      const text = value.toFixed(3), near = value > 0 && value < 1;
      return near && text === "0.000" ? "<0.001" : near && text === "1.000" ? ">0.999" : text;
    }
    if (column.type === "number") return value.toLocaleString("en");
    return String(value);
  };
  const styles = (column) => `${column.type === "text" ? "" : "n "}${column.style || ""}`.trim();
  const compare = (a, b) => {
    if (a === b) return 0;
    if (a === null || a === "") return 1;  // what is not known comes last, however it is sorted
    if (b === null || b === "") return -1;
    return a < b ? -1 : 1;
  };

  class Table {
    constructor(home) {
      const data = JSON.parse(document.getElementById(home.dataset.table).textContent);
      Object.assign(this, { home, columns: data.columns, rows: data.rows, size: data.page_size || 50 });
      this.searched = data.rows.map((row) => row.filter((value) => typeof value === "string").join("\n").toLowerCase());
      this.order = data.rows.map((_, number) => number);
      Object.assign(this, { sorted: null, descending: false, page: 0, selected: -1, filters: new Map(), words: [] });
      this.body = home.querySelector("tbody");
      this.head();
      this.controls();
      this.body.addEventListener("click", (event) => {
        const row = event.target.closest("tr");
        if (row) this.select([...this.body.children].indexOf(row));
      });
      this.home.querySelector("table").addEventListener("keydown", (event) => this.key(event));
      this.update();
    }
    head() {
      const line = this.home.querySelector("thead tr");
      line.replaceChildren(...this.columns.map((column, number) => {
        const cell = make("th", null, styles(column));
        const button = make("button", column.name);
        cell.scope = "col";
        button.type = "button";
        button.addEventListener("click", () => this.sort(number));
        cell.append(button);
        return cell;
      }));
    }
    controls() {
      const place = this.home.querySelector(".controls");
      const label = make("label", "Search", "search");
      this.search = make("input");
      this.search.type = "search";
      this.search.placeholder = "words in any column";
      this.search.addEventListener("input", () => { this.words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean); this.refilter(); });
      label.append(this.search);
      place.append(label, ...this.columns.map((column, number) => column.filter ? this.filter(column, number) : "").filter(Boolean));
      const [back, next] = this.home.querySelectorAll(".pager button");
      back.addEventListener("click", () => this.turn(-1));
      next.addEventListener("click", () => this.turn(1));
      Object.assign(this, { back, next, output: this.home.querySelector(".pager output") });
    }
    filter(column, number) {
      const label = make("label", column.name), select = make("select"), counts = new Map();
      for (const row of this.rows) counts.set(row[number] ?? "", (counts.get(row[number] ?? "") || 0) + 1);
      select.append(new Option("all", "*"));
      for (const [value, count] of [...counts].sort((a, b) => compare(a[0], b[0]))) select.append(new Option(`${value || "none"} (${count})`, `=${value}`));
      select.addEventListener("change", () => {
        if (select.value === "*") this.filters.delete(number); else this.filters.set(number, select.value.slice(1));
        this.refilter();
      });
      label.append(select);
      return label;
    }
    refilter() {
      this.page = 0;
      this.selected = -1;
      this.update();
    }
    sort(number) {
      this.descending = this.sorted === number ? !this.descending : this.columns[number].type !== "text";
      this.sorted = number;
      const sign = this.descending ? -1 : 1;
      this.order.sort((a, b) => {
        const [x, y] = [this.rows[a][number], this.rows[b][number]];
        const blank = (x === null || x === "") || (y === null || y === "");
        return (blank ? compare(x, y) : sign * compare(x, y)) || a - b;
      });
      [...this.home.querySelectorAll("th")].forEach((cell, at) => {
        if (at === number) cell.setAttribute("aria-sort", this.descending ? "descending" : "ascending"); else cell.removeAttribute("aria-sort");
      });
      this.refilter();
    }
    update() {
      this.found = this.order.filter((at) => {
        for (const [number, value] of this.filters) if ((this.rows[at][number] ?? "") !== value) return false;
        return this.words.every((word) => this.searched[at].includes(word));
      });
      this.draw();
    }
    draw() {
      const begin = this.page * this.size, page = this.found.slice(begin, begin + this.size);
      this.body.replaceChildren(...page.map((at) => this.line(this.rows[at])));
      const total = this.found.length, of = total === this.rows.length ? "" : `, of ${this.rows.length.toLocaleString("en")}`;
      this.output.textContent = total ? `${(begin + 1).toLocaleString("en")} to ${(begin + page.length).toLocaleString("en")} of ${total.toLocaleString("en")}${of}` : `nothing matches${of}`;
      this.back.disabled = this.page === 0;
      this.next.disabled = begin + this.size >= total;
      if (this.selected >= 0) this.select(Math.min(this.selected, page.length - 1));
    }
    line(row) {
      const line = make("tr");
      this.columns.forEach((column, number) => {
        const cell = make("td", null, `${number ? "" : "first "}${styles(column)}`.trim());
        cell.dataset.name = column.name;
        const text = shown(column, row[number]);
        if (column.badge && text) cell.append(make("span", text, `badge ${text}`));
        else if (column.link && row[this.columns.length]) {
          const link = make("a", text);
          link.href = `#${row[this.columns.length]}`;
          cell.append(link);
        } else cell.textContent = text;
        line.append(cell);
      });
      return line;
    }
    select(at) {
      const lines = [...this.body.children];
      if (!lines.length) return;
      this.selected = Math.max(0, Math.min(at, lines.length - 1));
      lines.forEach((line, number) => {
        if (number === this.selected) line.setAttribute("aria-selected", "true"); else line.removeAttribute("aria-selected");
      });
      lines[this.selected].scrollIntoView({ block: "nearest" });
    }
    turn(by) {
      const last = Math.max(0, Math.ceil(this.found.length / this.size) - 1), page = Math.max(0, Math.min(this.page + by, last));
      if (page !== this.page) { this.page = page; this.draw(); }
    }
    key(event) {
      const last = this.body.children.length - 1;
      if (event.key === "ArrowDown") this.select(this.selected + 1);
      else if (event.key === "ArrowUp") this.select(this.selected < 0 ? last : this.selected - 1);
      else if (event.key === "Home") this.select(0);
      else if (event.key === "End") this.select(last);
      else if (event.key === "PageDown") this.turn(1);
      else if (event.key === "PageUp") this.turn(-1);
      else if (event.key === "Enter" && event.target.tagName === "TABLE") this.body.children[this.selected]?.querySelector("a")?.click();
      else return;
      event.preventDefault();
    }
  }
  const tables = [...document.querySelectorAll("[data-table]")].map((home) => new Table(home));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || !tables.length) return;
    event.preventDefault();
    tables[0].search.focus();
  });
  reveal();
})();
