/* Reads lines. At a terminal there is an editor: arrows, home, end, delete, control with a e b f d k u w l, a history (up,
 * down, control with p n), completion by tab. A line longer than the terminal is wide is shown in part. Elsewhere a line is
 * what lies before the next newline. The terminal is in its own mode only while a line is read, so what runs between two
 * lines finds it as the user left it. A line is lent until the next one is read. */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "program.h"

enum { HISTORY = 500, SEQUENCE_MS = 50 };
enum { /* keys that are no single byte; the others are themselves */
  KEY_UP = 256, KEY_DOWN, KEY_LEFT, KEY_RIGHT, KEY_HOME, KEY_END, KEY_DELETE, KEY_NONE, KEY_CLOSED
};
#define CONTROL(c) ((c) & 31)

static struct {
  char *text;              /* of the line, ends in 0 */
  size_t n, room, at;      /* at: of the cursor, in bytes */
  char *past[HISTORY];     /* the oldest first */
  int n_past, shown;       /* shown: which line of the past it is, n_past: a new one */
} line;

/* ---- the text ---- */

static int grow(size_t n) {
  if (n < line.room) return 1;
  size_t room = 2 * n + 128;
  char *text = realloc(line.text, room);
  if (!text) return 0;
  line.text = text;
  line.room = room;
  return 1;
}

static void insert(const char *text, size_t n) {
  if (!grow(line.n + n)) return;
  memmove(line.text + line.at + n, line.text + line.at, line.n - line.at);
  memcpy(line.text + line.at, text, n);
  line.n += n;
  line.at += n;
  line.text[line.n] = 0;
}

static void cut(size_t from, size_t to) {
  memmove(line.text + from, line.text + to, line.n - to);
  line.n -= to - from;
  line.at = from;
  line.text[line.n] = 0;
}

static int inside(size_t i) { return (line.text[i] & 0xC0) == 0x80; } /* in the middle of a character of UTF-8 */

static size_t left_of(size_t i) {
  if (i > 0) i--;
  while (i > 0 && inside(i)) i--;
  return i;
}

static size_t right_of(size_t i) {
  if (i < line.n) i++;
  while (i < line.n && inside(i)) i++;
  return i;
}

static size_t word_left(size_t i) {
  while (i > 0 && line.text[i - 1] == ' ') i--;
  while (i > 0 && line.text[i - 1] != ' ') i--;
  return i;
}

static void replace(const char *text) {
  cut(0, line.n);
  insert(text, strlen(text));
}

/* ---- the past ---- */

static void remember(void) {
  if (line.n == 0 || (line.n_past > 0 && strcmp(line.past[line.n_past - 1], line.text) == 0)) return;
  char *copy = strdup(line.text);
  if (!copy) return;
  if (line.n_past == HISTORY) {
    free(line.past[0]);
    memmove(line.past, line.past + 1, (HISTORY - 1) * sizeof *line.past);
    line.n_past--;
  }
  line.past[line.n_past++] = copy;
}

static void show_past(int by) {
  int to = line.shown + by;
  if (to < 0 || to > line.n_past) return;
  line.shown = to;
  replace(to == line.n_past ? "" : line.past[to]);
}

/* ---- the terminal ---- */

static void put(const char *text, size_t n) {
  while (n > 0) {
    ssize_t done = write(1, text, n);
    if (done < 0 && errno != EINTR) return;
    if (done > 0) text += done, n -= (size_t)done;
  }
}

static int columns(void) {
  struct winsize size;
  return ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static int width(size_t from, size_t to) {
  int n = 0;
  for (; from < to; from++) n += !inside(from);
  return n;
}

/* Prompt and line, as much of it as fits around the cursor. */
static void draw(const char *prompt) {
  int fits = columns() - (int)strlen(prompt) - 1;
  size_t first = 0, last = line.n;
  char move[32];
  while (width(first, line.at) > fits) first = right_of(first);
  while (width(first, last) > fits) last = left_of(last);
  put("\r", 1);
  put(prompt, strlen(prompt));
  put(line.text + first, last - first);
  int column = (int)strlen(prompt) + width(first, line.at);
  put(move, (size_t)snprintf(move, sizeof move, "\033[K\r\033[%dC", column));
}

static int byte(int wait) { /* wait in ms, -1: as long as it takes */
  unsigned char c;
  struct pollfd in = {.fd = 0, .events = POLLIN};
  for (;;) {
    if (wait >= 0 && poll(&in, 1, wait) <= 0) return KEY_NONE;
    ssize_t n = read(0, &c, 1);
    if (n == 1) return c;
    if (n == 0 || errno != EINTR) return KEY_CLOSED;
  }
}

/* ESC [ A, ESC O A, ESC [ 3 ~, ESC [ 1 ; 5 C: the number counts, or else the letter. */
static int sequence(void) {
  static const struct { int letter, key; } letters[] = {
    {'A', KEY_UP}, {'B', KEY_DOWN}, {'C', KEY_RIGHT}, {'D', KEY_LEFT}, {'H', KEY_HOME}, {'F', KEY_END}};
  static const int numbers[] = {KEY_NONE, KEY_HOME, KEY_NONE, KEY_DELETE, KEY_END, KEY_NONE, KEY_NONE, KEY_HOME, KEY_END};
  int c = byte(SEQUENCE_MS), number = 0;
  if (c != '[' && c != 'O') return KEY_NONE;
  while ((c = byte(SEQUENCE_MS)) < 256 && (c == ';' || (c >= '0' && c <= '9')))
    if (c != ';' && number < 9) number = c - '0';
  if (c == '~') return number < NL_ARRAY(numbers) ? numbers[number] : KEY_NONE;
  for (int i = 0; i < NL_ARRAY(letters); i++)
    if (letters[i].letter == c) return letters[i].key;
  return KEY_NONE;
}

/* What can follow the text before the cursor is put there as far as it is certain; the choices are shown where it is not. */
static void complete(lua_State *L) {
  int top = lua_gettop(L);
  size_t n;
  char tail = line.text[line.at];
  line.text[line.at] = 0;
  int status = pg_complete(L, line.text);
  line.text[line.at] = tail;
  const char *sure = status == LUA_OK ? lua_tolstring(L, top + 1, &n) : NULL;
  if (sure && n > 0) insert(sure, n);
  else if (status == LUA_OK && lua_type(L, top + 2) == LUA_TSTRING) {
    put("\n", 1);
    put(lua_tostring(L, top + 2), lua_rawlen(L, top + 2));
    put("\n", 1);
  }
  lua_settop(L, top);
}

static int act(lua_State *L, int key) {
  switch (key) {
  case '\r': case '\n': return PG_LINE;
  case CONTROL('c'): return PG_BROKEN;
  case KEY_CLOSED: return PG_END;
  case CONTROL('d'):
    if (line.n == 0) return PG_END;
    cut(line.at, right_of(line.at));
    break;
  case KEY_DELETE: cut(line.at, right_of(line.at)); break;
  case 127: case CONTROL('h'): cut(left_of(line.at), line.at); break;
  case CONTROL('w'): cut(word_left(line.at), line.at); break;
  case CONTROL('u'): cut(0, line.at); break;
  case CONTROL('k'): cut(line.at, line.n); break;
  case KEY_LEFT: case CONTROL('b'): line.at = left_of(line.at); break;
  case KEY_RIGHT: case CONTROL('f'): line.at = right_of(line.at); break;
  case KEY_HOME: case CONTROL('a'): line.at = 0; break;
  case KEY_END: case CONTROL('e'): line.at = line.n; break;
  case KEY_UP: case CONTROL('p'): show_past(-1); break;
  case KEY_DOWN: case CONTROL('n'): show_past(1); break;
  case CONTROL('l'): put("\033[H\033[2J", 7); break;
  case '\t': complete(L); break;
  default:
    if (key >= ' ' && key < 256) insert(&(char){(char)key}, 1);
  }
  return -1;
}

static int edit(lua_State *L, const char *prompt, const struct termios *before) {
  struct termios raw = *before;
  int end = -1;
  raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
  raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
  raw.c_cc[VMIN] = 1;
  raw.c_cc[VTIME] = 0;
  tcsetattr(0, TCSADRAIN, &raw);
  line.shown = line.n_past;
  while (end < 0) {
    draw(prompt);
    int key = byte(-1);
    end = act(L, key == 27 ? sequence() : key);
  }
  tcsetattr(0, TCSADRAIN, before);
  put(end == PG_BROKEN ? "^C\n" : "\n", end == PG_BROKEN ? 3 : 1);
  if (end == PG_LINE) remember();
  return end;
}

/* ---- without an editor ---- */

static int plain(const char *prompt) {
  fputs(prompt, stdout);
  fflush(stdout);
  for (int c; (c = getchar()) != '\n';) {
    if (c == EOF && !feof(stdin)) { /* an interrupt */
      clearerr(stdin);
      fputc('\n', stdout);
      return PG_BROKEN;
    }
    if (c == EOF) return line.n > 0 ? PG_LINE : PG_END;
    insert(&(char){(char)c}, 1);
  }
  return PG_LINE;
}

int pg_read_line(lua_State *L, const char *prompt, const char **text, size_t *n) {
  struct termios before;
  const char *kind = getenv("TERM");
  line.n = line.at = 0;
  if (!grow(0)) return PG_END;
  line.text[0] = 0;
  fflush(stdout);
  int able = isatty(0) && isatty(1) && kind && strcmp(kind, "dumb") != 0 && tcgetattr(0, &before) == 0;
  int end = able ? edit(L, prompt, &before) : plain(prompt);
  *text = line.text;
  *n = line.n;
  return end;
}

void pg_forget_lines(void) {
  free(line.text);
  for (int i = 0; i < line.n_past; i++) free(line.past[i]);
  memset(&line, 0, sizeof line);
}
