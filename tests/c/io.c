/* Files through the public API: safetensors, IDX, PNG and mapped files go round; damaged ones, folders that are not there
 * and a failing allocator give an error, leak nothing and leave the old file whole. */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>
#include "check.h"

static char folder[64];

static const char *path_of(const char *name) {
  static char path[4][160];
  static int turn;
  turn = (turn + 1) % 4;
  snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
  return path[turn];
}

static void put(const char *name, const void *data, size_t size) {
  FILE *file = fopen(path_of(name), "wb");
  if (file) fwrite(data, 1, size, file);
  if (file) fclose(file);
}

static size_t get(const char *name, unsigned char *data, size_t room) {
  FILE *file = fopen(path_of(name), "rb");
  size_t n = file ? fread(data, 1, room, file) : 0;
  if (file) fclose(file);
  return n;
}

static int files_in_folder(void) {
  DIR *d = opendir(folder);
  int n = 0;
  while (d && readdir(d)) n++;
  if (d) closedir(d);
  return n - 2;
}

/* Is what this file tests part of the build? */
static int built(neap_context *c, const char *what) {
  if (neap_error(c) != NEAP_ERR_UNSUPPORTED) return 1;
  printf("skip %s: not in this build\n", what);
  neap_clear(c);
  return 0;
}

/* ---- safetensors ---- */

enum { N = 12 };

static int save_some(neap_context *c, const char *name, neap_tensor **t) {
  static const char *const names[N] = {"0.weight", "f64", "i64",  "i32", "i16",   "i8",
                                       "u8",       "u16", "bool", "bf16", "\"\\ \xc3\xa9\n", "empty"};
  static const char *const meta[] = {"format", "neap", "quote", "a \"b\""};
  return neap_save(c, path_of(name), N, names, t, 2, meta);
}

static void make_some(neap_context *c, neap_tensor **t) {
  static const neap_dtype d[N] = {NEAP_F32, NEAP_F64, NEAP_I64, NEAP_I32,  NEAP_I16,  NEAP_I8,
                                  NEAP_U8,  NEAP_U16, NEAP_BOOL, NEAP_BF16, NEAP_F16, NEAP_F32};
  for (int i = 0; i < N; i++) {
    int64_t shape[3] = {i + 1, i % 3 + 1, 5};
    if (i == N - 1) shape[1] = 0;
    t[i] = neap_new(c, d[i], i % 4, shape);
    if (!t[i]) continue;
    unsigned char *p = neap_data(t[i]);
    int64_t bytes = neap_count(t[i]) * neap_dtype_about(d[i])->block_bytes;
    for (int64_t k = 0; k < bytes; k++) p[k] = (unsigned char)(d[i] == NEAP_BOOL ? k % 2 : k * 7 + i);
  }
}

static void safetensors(neap_context *c) {
  neap_tensor *t[N];
  make_some(c, t);
  save_some(c, "a.safetensors", t);
  if (!built(c, "safetensors")) {
    for (int i = 0; i < N; i++) neap_release(t[i]);
    return;
  }
  test_case("safetensors: all dtypes go round, with names and metadata");
  check_text(c, "");
  check_int(neap_error(c), NEAP_OK);
  neap_archive *a = neap_archive_open(c, path_of("a.safetensors"));
  check(a != NULL);
  check_int(neap_archive_count(a), N);
  neap_tensor *back = NULL;
  for (int i = 0; i < N; i++) {
    back = neap_archive_tensor(a, i);
    check(neap_dtype_of(back) == neap_dtype_of(t[i]) && neap_ndim(back) == neap_ndim(t[i]));
    for (int k = 0; k < neap_ndim(t[i]); k++) check_int(neap_shape(back)[k], neap_shape(t[i])[k]);
    check(memcmp(neap_read(back), neap_read(t[i]), (size_t)neap_bytes(t[i])) == 0);
    check(neap_data(back) == NULL); /* mapped: read-only */
    neap_clear(c);
    if (i == 0) check(strcmp(neap_archive_name(a, i), "0.weight") == 0);
    if (i + 1 < N) neap_release(back);
  }
  const char *value;
  check_int(neap_archive_meta_count(a), 2);
  check(strcmp(neap_archive_meta(a, 1, &value), "quote") == 0 && strcmp(value, "a \"b\"") == 0);
  check(neap_archive_meta(a, 2, &value) == NULL && value == NULL && neap_archive_name(a, N) == NULL);
  check(neap_archive_tensor(a, N) == NULL);
  check_int(neap_error(c), NEAP_ERR_INDEX);
  neap_clear(c);
  neap_release(back);
  back = neap_archive_tensor(a, 1);
  neap_archive_close(a);
  unlink(path_of("a.safetensors"));
  check(memcmp(neap_read(back), neap_read(t[1]), (size_t)neap_bytes(t[1])) == 0);
  neap_release(back);
  check_int(files_in_folder(), 0);

  test_case("safetensors: names and metadata that cannot be saved");
  const char *names[2] = {"a", "a"};
  check_int(neap_save(c, path_of("b"), 2, names, t, 0, NULL), NEAP_ERR_ARGUMENT);
  check_text(c, "\"a\" is there twice");
  neap_clear(c);
  names[1] = "\xff\xfe";
  check_int(neap_save(c, path_of("b"), 2, names, t, 0, NULL), NEAP_ERR_ARGUMENT);
  check_text(c, "UTF-8");
  neap_clear(c);
  names[1] = "__metadata__";
  check_int(neap_save(c, path_of("b"), 2, names, t, 0, NULL), NEAP_ERR_ARGUMENT);
  neap_clear(c);
  const char *meta[2] = {"key", NULL};
  check_int(neap_save(c, path_of("b"), 1, names, t, 1, meta), NEAP_ERR_ARGUMENT);
  neap_clear(c);
  check_int(neap_save(c, path_of("none"), 0, NULL, NULL, 0, NULL), NEAP_OK);
  a = neap_archive_open(c, path_of("none"));
  check(a && neap_archive_count(a) == 0);
  neap_archive_close(a);
  unlink(path_of("none"));
  check_int(files_in_folder(), 0);

  test_case("safetensors: paths that fail name themselves");
  check_int(neap_save(c, path_of("no/such/folder"), 1, names, t, 0, NULL), NEAP_ERR_IO);
  check_text(c, "no/such/folder\": No such file or directory");
  neap_clear(c);
  check_int(neap_save(c, folder, 1, names, t, 0, NULL), NEAP_ERR_IO);
  check_text(c, "Is a directory");
  neap_clear(c);
  check(neap_archive_open(c, path_of("nothing")) == NULL);
  check_int(neap_error(c), NEAP_ERR_IO);
  check_text(c, "No such file");
  neap_clear(c);
  check(neap_archive_open(c, folder) == NULL);
  check_text(c, "Is a directory");
  neap_clear(c);
  check(mkfifo(path_of("pipe"), 0600) == 0);
  check_int(neap_save(c, path_of("pipe"), 1, names, t, 0, NULL), NEAP_ERR_IO); /* a rename would put a file in its place */
  check_text(c, "pipe\": not a regular file");
  neap_clear(c);
  struct stat about;
  check(stat(path_of("pipe"), &about) == 0 && S_ISFIFO(about.st_mode));
  unlink(path_of("pipe"));
  check_int(files_in_folder(), 0);
  for (int i = 0; i < N; i++) neap_release(t[i]);
}

static void safetensors_damaged(void) {
  host_memory m = {0};
  neap_config config = host_config(&m);
  neap_context *c = neap_open(&config);
  neap_tensor *t[N];
  static unsigned char good[1 << 16], bad[1 << 16];
  make_some(c, t);
  save_some(c, "a", t);
  if (!built(c, "safetensors, damaged")) goto end;
  size_t size = get("a", good, sizeof good);

  test_case("safetensors: every cut is noticed");
  for (size_t n = 0; n < size; n++) {
    put("cut", good, n);
    neap_archive *a = neap_archive_open(c, path_of("cut"));
    check_at(__LINE__, !a && neap_error(c) == NEAP_ERR_FORMAT, "cut at %zu of %zu", n, size);
    check_text(c, "cut\"");
    neap_archive_close(a);
    neap_clear(c);
  }

  test_case("safetensors: any changed byte of the header is an error or a sound file");
  size_t header = 8 + good[0] + 256u * good[1];
  for (size_t n = 0; n < header; n++)
    for (int k = 0; k < 4; k++) {
      memcpy(bad, good, size);
      bad[n] = (unsigned char)(bad[n] ^ (k < 3 ? 1 << (2 * k) : 255));
      put("bad", bad, size);
      neap_archive *a = neap_archive_open(c, path_of("bad"));
      check(a || neap_error(c) == NEAP_ERR_FORMAT);
      for (int i = 0; a && i < neap_archive_count(a); i++) {
        neap_tensor *x = neap_archive_tensor(a, i);
        volatile const char *bytes = x ? neap_read(x) : NULL; /* all there, or a sanitizer says so */
        if (x && neap_count(x) > 0) (void)bytes[0], (void)bytes[neap_bytes(x) - 1];
        neap_release(x);
        neap_clear(c);
      }
      neap_archive_close(a);
      neap_clear(c);
    }

  test_case("safetensors: when the n-th request fails nothing leaks and the old file stays");
  for (int n = 1; n < 200; n++) {
    neap_trim(c);
    long live = m.live;
    m.fail_at = m.calls + n;
    int saved = save_some(c, "a", t);
    m.fail_at = 0;
    check(saved == NEAP_OK ? neap_error(c) == NEAP_OK : neap_error(c) == NEAP_ERR_MEMORY);
    neap_clear(c);
    neap_trim(c);
    check_int(m.live, live);
    check_int(get("a", bad, sizeof bad), size);
    check(memcmp(good, bad, size) == 0);
    m.fail_at = m.calls + n;
    neap_archive *a = neap_archive_open(c, path_of("a"));
    neap_tensor *x = a ? neap_archive_tensor(a, 2) : NULL;
    m.fail_at = 0;
    check(x || neap_error(c) == NEAP_ERR_MEMORY);
    neap_release(x);
    neap_archive_close(a);
    neap_clear(c);
    neap_trim(c);
    check_int(m.live, live);
    if (saved == NEAP_OK && x) break;
  }
end:
  for (int i = 0; i < N; i++) neap_release(t[i]);
  neap_close(c);
  check_int(m.live, 0);
}

/* ---- IDX ---- */

static void idx(neap_context *c) {
  test_case("idx: all dtypes, big-endian to native");
  static const unsigned char f32[] = {0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0xc0, 0, 0}, i16[] = {0, 0, 0x0b, 1, 0, 0, 0, 2, 0xff, 0xfe, 1, 0},
                             i32[] = {0, 0, 0x0c, 0, 0xff, 0xff, 0xff, 0xf9}, i8[] = {0, 0, 9, 1, 0, 0, 0, 1, 0x80},
                             f64[] = {0, 0, 0x0e, 1, 0, 0, 0, 1, 0x40, 4, 0, 0, 0, 0, 0, 0};
  static const struct { const unsigned char *bytes; size_t size; neap_dtype d; double first; } cases[] = {
      {f32, sizeof f32, NEAP_F32, 1.5}, {i16, sizeof i16, NEAP_I16, -2}, {i32, sizeof i32, NEAP_I32, -7},
      {i8, sizeof i8, NEAP_I8, -128},   {f64, sizeof f64, NEAP_F64, 2.5},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    put("x.idx", cases[i].bytes, cases[i].size);
    neap_tensor *t = neap_read_idx(c, path_of("x.idx"));
    double values[2] = {0, 0};
    check(t && neap_dtype_of(t) == cases[i].d);
    if (t) neap_copy_out(t, NEAP_F64, values);
    check(values[0] == cases[i].first);
    neap_release(t);
    neap_clear(c);
    put("x.idx", cases[i].bytes, cases[i].size - 1);
    check(neap_read_idx(c, path_of("x.idx")) == NULL);
    check_int(neap_error(c), NEAP_ERR_FORMAT);
    check_text(c, "x.idx\": it ends before");
    neap_clear(c);
  }

  test_case("idx: gzip, whole, cut and damaged");
  static const unsigned char zipped[] = {
      0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63, 0x60, 0xe0, 0x60, 0x62, 0x60, 0x60, 0x00,
      0x61, 0x66, 0x06, 0x46, 0x26, 0x66, 0x16, 0x56, 0x00, 0x26, 0x2c, 0x23, 0x54, 0x12, 0x00, 0x00, 0x00};
  put("z.idx", zipped, sizeof zipped);
  neap_tensor *t = neap_read_idx(c, path_of("z.idx"));
  if (built(c, "gzip")) {
    check(t && neap_ndim(t) == 2 && neap_shape(t)[0] == 2 && neap_shape(t)[1] == 3);
    for (int i = 0; t && i < 6; i++) check_int(((const unsigned char *)neap_read(t))[i], i);
    neap_release(t);
    for (size_t n = 1; n < sizeof zipped; n++) {
      put("z.idx", zipped, n);
      t = neap_read_idx(c, path_of("z.idx"));
      check_at(__LINE__, !t && neap_error(c) == NEAP_ERR_FORMAT, "cut at %zu: %s", n, neap_error_message(c));
      neap_release(t);
      neap_clear(c);
    }
  }
  check(neap_read_idx(c, path_of("nothing.idx")) == NULL);
  check_int(neap_error(c), NEAP_ERR_IO);
  neap_clear(c);

  test_case("bytes: plain, empty, gzip, cut");
  put("plain", "neap", 4);
  t = neap_read_bytes(c, path_of("plain"));
  check(t && neap_count(t) == 4 && memcmp(neap_read(t), "neap", 4) == 0);
  neap_release(t);
  put("plain", "", 0);
  t = neap_read_bytes(c, path_of("plain"));
  check(t && neap_count(t) == 0);
  neap_release(t);
  if (built(c, "gzip")) {
    put("z.idx", zipped, sizeof zipped);
    t = neap_read_bytes(c, path_of("z.idx"));
    check(t && neap_count(t) == 18 && ((const unsigned char *)neap_read(t))[17] == 5);
    neap_release(t);
    put("z.idx", zipped, sizeof zipped - 3);
    check(neap_read_bytes(c, path_of("z.idx")) == NULL);
    check_int(neap_error(c), NEAP_ERR_FORMAT);
    neap_clear(c);
  }
}

/* ---- PNG ---- */

static void round_trip(neap_context *c, neap_dtype d, int ndim, const int64_t *shape) {
  neap_tensor *t = neap_new(c, d, ndim, shape);
  int64_t n = neap_count(t);
  for (int64_t i = 0; i < n; i++) {
    if (d == NEAP_U8) ((unsigned char *)neap_data(t))[i] = (unsigned char)(i * 37);
    else ((float *)neap_data(t))[i] = (float)(unsigned char)(i * 37) / 255;
  }
  check_int(neap_write_png(path_of("x.png"), t), NEAP_OK);
  neap_tensor *back = neap_read_png(c, path_of("x.png"));
  check_text(c, "");
  check(back && neap_ndim(back) == 3 && neap_count(back) == n && neap_dtype_of(back) == NEAP_U8);
  if (back) check(neap_shape(back)[0] == (ndim == 2 ? 1 : shape[0]) && neap_shape(back)[2] == shape[ndim - 1]);
  for (int64_t i = 0; back && i < n; i++) check_int(((const unsigned char *)neap_read(back))[i], (unsigned char)(i * 37));
  neap_release(back);
  neap_release(t);
  neap_clear(c);
}

static void png(neap_context *c) {
  int64_t one = 1;
  neap_tensor *t = neap_new(c, NEAP_U8, 1, &one);
  neap_write_png(path_of("x.png"), t);
  int there = built(c, "png");
  if (!there) {
    neap_release(t);
    return;
  }
  test_case("png: what is no image");
  check_int(neap_error(c), NEAP_ERR_SHAPE);
  check_text(c, "(1) is none of (H, W)");
  neap_clear(c);
  neap_release(t);
  int64_t shape[3] = {3, 5, 7};
  t = neap_new(c, NEAP_I64, 3, shape);
  check_int(neap_write_png(path_of("x.png"), t), NEAP_ERR_DTYPE);
  neap_clear(c);
  neap_release(t);
  shape[0] = 2;
  t = neap_new(c, NEAP_U8, 3, shape);
  check_int(neap_write_png(path_of("x.png"), t), NEAP_ERR_SHAPE);
  neap_clear(c);
  neap_release(t);

  test_case("png: grey and colour, bytes and floats, go round");
  for (int k = 1; k <= 3; k += 2) {
    shape[0] = k;
    round_trip(c, NEAP_U8, 3, shape);
    round_trip(c, NEAP_F32, 3, shape);
  }
  round_trip(c, NEAP_U8, 2, shape + 1);

  test_case("png: floats outside of 0 to 1 are cut, NaN is black");
  float odd[4] = {-1, 2, 0.5f, 0};
  odd[3] = odd[3] / odd[3];
  t = neap_copy_in(c, NEAP_F32, 2, (int64_t[]){1, 4}, odd);
  check_int(neap_write_png(path_of("x.png"), t), NEAP_OK);
  neap_release(t);
  t = neap_read_png(c, path_of("x.png"));
  static const unsigned char want[4] = {0, 255, 128, 0};
  check(t && memcmp(neap_read(t), want, 4) == 0);
  neap_release(t);

  test_case("png: damaged files are errors, and nothing is printed");
  static unsigned char good[4096], bad[4096];
  size_t size = get("x.png", good, sizeof good);
  fflush(stderr);
  int before = dup(2), silent = fileno(fopen(path_of("stderr"), "w+"));
  dup2(silent, 2);
  for (size_t n = 0; n < size; n++) {
    put("y.png", good, n);
    t = neap_read_png(c, path_of("y.png"));
    check_at(__LINE__, !t && neap_error(c) == NEAP_ERR_FORMAT, "cut at %zu", n);
    neap_release(t);
    neap_clear(c);
    memcpy(bad, good, size);
    bad[n] ^= 0xff;
    put("y.png", bad, size);
    t = neap_read_png(c, path_of("y.png"));
    check(t || neap_error(c) == NEAP_ERR_FORMAT);
    neap_release(t);
    neap_clear(c);
  }
  dup2(before, 2);
  close(before);
  check_int(get("stderr", bad, sizeof bad), 0);
  check(neap_read_png(c, path_of("none.png")) == NULL);
  check_int(neap_error(c), NEAP_ERR_IO);
  neap_clear(c);
  t = neap_copy_in(c, NEAP_U8, 2, (int64_t[]){2, 2}, want);
  check_int(neap_write_png(path_of("no/x.png"), t), NEAP_ERR_IO);
  neap_clear(c);
  neap_release(t);
}

static void images_without_memory(void) {
  test_case("png, idx: when the n-th request fails nothing leaks");
  host_memory m = {0};
  neap_config config = host_config(&m);
  neap_context *c = neap_open(&config);
  static const unsigned char pixels[12] = {1, 2, 3};
  neap_tensor *t = neap_copy_in(c, NEAP_U8, 3, (int64_t[]){3, 2, 2}, pixels);
  for (int n = 1; n < 100; n++) {
    neap_trim(c);
    long live = m.live;
    m.fail_at = m.calls + n;
    int wrote = neap_write_png(path_of("m.png"), t);
    check(wrote == NEAP_OK || wrote == NEAP_ERR_MEMORY || wrote == NEAP_ERR_UNSUPPORTED);
    neap_clear(c);
    m.fail_at = m.calls + n;
    neap_tensor *x = neap_read_png(c, path_of("m.png"));
    check(x || neap_error(c) == NEAP_ERR_MEMORY || neap_error(c) == NEAP_ERR_UNSUPPORTED || neap_error(c) == NEAP_ERR_IO);
    neap_release(x);
    neap_clear(c);
    m.fail_at = m.calls + n;
    x = neap_read_idx(c, path_of("z.idx"));
    check(x || neap_error(c) != NEAP_OK);
    neap_release(x);
    neap_clear(c);
    neap_trim(c);
    check_int(m.live, live);
  }
  m.fail_at = 0;
  neap_release(t);
  neap_close(c);
  check_int(m.live, 0);
}

/* ---- mapped files ---- */

static void mapped(neap_context *c) {
  test_case("map_file: numbers of a file, read-only, without a copy");
  const float values[5] = {0, 1, 2, 3, 4};
  put("raw", values, sizeof values);
  int64_t shape[2] = {2, 2};
  size_t live = neap_memory(c).live;
  neap_tensor *t = neap_map_file(c, path_of("raw"), NEAP_F32, 4, 2, shape);
  check(t && memcmp(neap_read(t), values + 1, 16) == 0);
  check(neap_data(t) == NULL && neap_error(c) == NEAP_ERR_STATE);
  neap_clear(c);
  neap_release(t);
  check_int(neap_memory(c).live, live);

  test_case("map_file: what the file does not hold");
  check(neap_map_file(c, path_of("raw"), NEAP_F32, 8, 2, shape) == NULL);
  check_int(neap_error(c), NEAP_ERR_FORMAT);
  check_text(c, "it has 20 bytes, and 16 from offset 8");
  neap_clear(c);
  check(neap_map_file(c, path_of("raw"), NEAP_F32, 2, 2, shape) == NULL);
  check_int(neap_error(c), NEAP_ERR_ARGUMENT);
  neap_clear(c);
  check(neap_map_file(c, path_of("raw"), NEAP_F32, -4, 2, shape) == NULL);
  neap_clear(c);
  shape[0] = (int64_t)1 << 54;
  check(neap_map_file(c, path_of("raw"), NEAP_F32, 4, 2, shape) == NULL);
  neap_clear(c);
  check(neap_map_file(c, path_of("no"), NEAP_F32, 0, 0, NULL) == NULL);
  check_int(neap_error(c), NEAP_ERR_IO);
  neap_clear(c);
  put("raw", values, 0);
  shape[0] = 0;
  t = neap_map_file(c, path_of("raw"), NEAP_F32, 0, 2, shape);
  check(t && neap_count(t) == 0);
  neap_release(t);
}

static void clean_up(void) {
  DIR *d = opendir(folder);
  struct dirent *e;
  while (d && (e = readdir(d)))
    if (e->d_name[0] != '.') unlink(path_of(e->d_name));
  if (d) closedir(d);
  rmdir(folder);
}

int main(void) {
  const char *base = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%.40s/neap-io-XXXXXX", base ? base : "/tmp");
  if (!mkdtemp(folder)) {
    printf("not ok io: no temporary folder\n");
    return 1;
  }
  neap_context *c = neap_open(NULL);
  safetensors(c);
  safetensors_damaged();
  idx(c);
  png(c);
  images_without_memory();
  mapped(c);
  neap_close(c);
  clean_up();
  return check_done();
}
