/* The ground through the public API alone: contexts, errors, memory counters, cap and trim, generators, handles that
 * outlive their context, wrapped memory, scopes, sharing, dtypes. Nothing here runs an op. */
#include "check.h"

enum { MIB = 1 << 20 };

static neap_tensor *floats(neap_context *c, int64_t n) { return neap_new(c, NEAP_F32, 1, &n); }

static void contexts(void) {
  test_case("base: a context opens, is shared and closes");
  neap_context *c = neap_open(NULL);
  check(c && neap_error(c) == NEAP_OK && neap_error_message(c)[0] == 0);
  check_int(neap_threads(c), 1);
  check(strcmp(neap_blas_name(c), "internal") == 0);
  check(neap_retain_context(c) == c);
  neap_close(c);
  check(neap_error(c) == NEAP_OK);
  neap_close(c);

  test_case("base: every byte goes back when the context closes");
  host_memory m = {0};
  neap_config config = host_config(&m);
  c = neap_open(&config);
  for (int i = 0; i < 50; i++) neap_release(floats(c, 1000 * i));
  neap_tensor *t = floats(c, 7);
  check(m.live > 0);
  neap_release(t);
  neap_close(c);
  check_int(m.live, 0);

  test_case("base: a mistake in the configuration is a pending error of the context");
  const struct { neap_config config; const char *error; } wrong[] = {
    {{.isa = "mmx"}, "config.isa is \"mmx\"; there are baseline"},
    {{.threads = 5000}, "config.threads is 5000; 0 to 4096"},
    {{.alloc = host_alloc}, "config.alloc and config.dealloc go together"},
    {{.blas = &(neap_blas){.name = "half"}}, "config.blas needs both sgemm and dgemm"},
    {{.lapack = &(neap_lapack){{0}, {0}}}, "config.lapack needs all routines, for both float and double"},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    c = neap_open(&wrong[i].config);
    check(c && neap_error(c) == NEAP_ERR_ARGUMENT);
    check_text(c, wrong[i].error);
    neap_clear(c);
    neap_release(floats(c, 3));
    check(neap_error(c) == NEAP_OK && neap_isa(c));
    neap_tensor *two = neap_eye(c, 2, NEAP_ABSENT, NEAP_F32), *inverse = neap_inv(c, two); /* by routines of its own */
    check(inverse != NULL && neap_error(c) == NEAP_OK);
    neap_release(inverse);
    neap_release(two);
    neap_close(c);
  }

  test_case("base: a failing allocator gives NULL at open and leaks nothing");
  for (int i = 1; i < 20; i++) {
    m = (host_memory){.fail_at = i};
    c = neap_open(&config);
    if (c) neap_close(c);
    check_int(m.live, 0);
  }
}

static void errors(void) {
  neap_context *c = neap_open(NULL);
  test_case("base: the first error stays until it is cleared");
  int64_t shape[9] = {2, -3};
  check(neap_new(c, NEAP_F32, 2, shape) == NULL);
  check_int(neap_error(c), NEAP_ERR_SHAPE);
  check_text(c, "(2, -3)");
  check_text(c, "dimension 1");
  check(neap_new(c, (neap_dtype)77, 0, NULL) == NULL);
  check_int(neap_error(c), NEAP_ERR_SHAPE);
  check(floats(c, 3) == NULL);
  check(neap_scope_open(c) == NULL);
  check(neap_generator_new(c, 1) == NULL);
  neap_clear(c);
  check(neap_error_message(c)[0] == 0);
  neap_tensor *t = floats(c, 3);
  check(t != NULL);
  neap_release(t);

  test_case("base: shapes that no tensor has");
  check(neap_new(c, NEAP_F32, 9, shape) == NULL);
  check_text(c, "9 dimensions");
  neap_clear(c);
  shape[0] = shape[1] = (int64_t)1 << 40;
  check(neap_new(c, NEAP_U8, 2, shape) == NULL);
  check_int(neap_error(c), NEAP_ERR_SHAPE);
  neap_clear(c);
  shape[0] = (int64_t)1 << 50;
  check(neap_new(c, NEAP_F64, 1, shape) == NULL);
  check_int(neap_error(c), NEAP_ERR_MEMORY);
  neap_clear(c);
  check(neap_new(c, (neap_dtype)77, 0, NULL) == NULL);
  check_int(neap_error(c), NEAP_ERR_DTYPE);
  neap_clear(c);

  test_case("base: every status has a name");
  for (int s = 0; s >= NEAP_ERR_UNSUPPORTED; s--) check(strcmp(neap_status_name((neap_status)s), "unknown") != 0);
  check(strcmp(neap_status_name((neap_status)5), "unknown") == 0);
  neap_close(c);
}

static void memory(void) {
  neap_context *c = neap_open(NULL);
  test_case("memory: live, peak and cached are counted");
  neap_memory_info start = neap_memory(c);
  neap_tensor *t = floats(c, MIB);
  neap_memory_info with = neap_memory(c);
  check(with.live >= start.live + 4 * MIB && with.live < start.live + 5 * MIB);
  neap_release(t);
  neap_memory_info after = neap_memory(c);
  check_int(after.live, start.live);
  check_int(after.peak, with.peak);
  neap_memory_reset_peak(c);
  check_int(neap_memory(c).peak, start.live);
  neap_trim(c);
  check_int(neap_memory(c).cached, 0);

  test_case("memory: what was used once is not asked for again");
  for (int round = 0; round < 3; round++) {
    size_t before = neap_memory(c).requests;
    for (int i = 1; i < 40; i++) {
      neap_tensor *a = floats(c, 100 * i * i), *b = floats(c, 7 * i);
      neap_release(a);
      neap_release(b);
    }
    if (round > 0 && neap_memory(c).cached) check_int(neap_memory(c).requests, before);
  }

  test_case("memory: the pool does not hoard");
  for (int i = 1; i < 300; i++) neap_release(floats(c, i * 40009)); /* ever larger: no block serves twice */
  neap_memory_info hoard = neap_memory(c);
  check(hoard.live + hoard.cached <= 2 * hoard.peak + 64 * MIB);
  neap_close(c);

  test_case("memory: the cap holds, and its error says what and how much");
  host_memory m = {0};
  neap_config config = host_config(&m);
  config.memory_cap = 16 * MIB;
  c = neap_open(&config);
  t = floats(c, 2 * MIB);
  check(t != NULL);
  neap_release(t); /* cached: the next one needs it to be trimmed first */
  t = floats(c, 3 * MIB);
  check(t != NULL);
  check(neap_memory(c).live + neap_memory(c).cached <= 16 * MIB);
  check(floats(c, 2 * MIB) == NULL);
  check_int(neap_error(c), NEAP_ERR_MEMORY);
  check_text(c, "cap of 16.0 MiB");
  neap_clear(c);
  neap_release(t);
  neap_memory_set_cap(c, 2 * MIB);
  check(neap_memory(c).live + neap_memory(c).cached <= 2 * MIB);
  check(floats(c, MIB) == NULL);
  neap_clear(c);
  neap_memory_set_cap(c, 0);
  t = floats(c, 8 * MIB);
  check(t != NULL);
  neap_release(t);

  test_case("memory: a refusing allocator is a pending error, and the context lives on");
  neap_trim(c);
  m.fail_all = 1;
  check(floats(c, MIB) == NULL);
  check_int(neap_error(c), NEAP_ERR_MEMORY);
  m.fail_all = 0;
  neap_clear(c);
  t = floats(c, MIB);
  check(t != NULL);
  neap_release(t);
  neap_close(c);
  check_int(m.live, 0);

  test_case("memory: without the pool every request reaches the allocator");
  m = (host_memory){0};
  config.memory_cap = 0;
  config.no_pool = 1;
  c = neap_open(&config);
  t = floats(c, 100000);
  long calls = m.calls;
  neap_release(t);
  t = floats(c, 100000);
  check(m.calls > calls);
  check_int(neap_memory(c).cached, 0);
  neap_release(t);
  neap_close(c);
  check_int(m.live, 0);
}

static void lifetimes(void) {
  test_case("lifetimes: a tensor outlives its context's owner");
  host_memory m = {0};
  neap_config config = host_config(&m);
  config.threads = 2;
  neap_context *c = neap_open(&config);
  float values[3] = {1, 2, 3};
  int64_t n = 3;
  neap_tensor *t = neap_copy_in(c, NEAP_F32, 1, &n, values);
  neap_generator *g = neap_generator_default(c);
  neap_close(c);
  check(((const float *)neap_read(t))[2] == 3);
  check(neap_context_of(t) == c);
  neap_generator_release(g);
  check(neap_retain(t) == t);
  neap_release(t);
  check(m.live > 0);
  neap_release(t);
  check_int(m.live, 0);

  test_case("lifetimes: one storage in two contexts");
  config.threads = 0;
  c = neap_open(&config);
  neap_context *d = neap_open(NULL);
  t = neap_copy_in(c, NEAP_F32, 1, &n, values);
  neap_tensor *u = neap_share(t, d);
  check(neap_context_of(u) == d && neap_read(u) == neap_read(t));
  check_int(neap_bytes(u), 12);
  ((float *)neap_data(t))[0] = 5;
  check(((const float *)neap_read(u))[0] == 5);
  neap_release(t);
  neap_close(c);
  check(((const float *)neap_read(u))[0] == 5);
  neap_release(u);
  check_int(m.live, 0);
  neap_close(d);
  neap_release(NULL);
}

static void let_go(void *user, void *data) {
  *(void **)user = data;
}

static void wrapping(void) {
  neap_context *c = neap_open(NULL);
  test_case("wrap: host memory as a tensor, released once");
  double values[6] = {1, 2, 3, 4, 5, 6};
  void *released = NULL;
  int64_t shape[2] = {2, 3};
  neap_tensor *t = neap_wrap(c, NEAP_F64, 2, shape, values, 0, let_go, &released);
  check(neap_read(t) == values && neap_data(t) == values);
  check_int(neap_ndim(t), 2);
  check(neap_strides(t)[0] == 3 && neap_strides(t)[1] == 1 && neap_is_contiguous(t));
  neap_tensor *u = neap_share(t, c);
  neap_release(t);
  check(released == NULL);
  neap_release(u);
  check(released == values);

  test_case("wrap: read-only memory refuses to be written");
  t = neap_wrap(c, NEAP_F64, 2, shape, values, 1, NULL, NULL);
  check(neap_read(t) == values);
  check(neap_data(t) == NULL);
  check_int(neap_error(c), NEAP_ERR_STATE);
  check_text(c, "read-only");
  neap_clear(c);
  neap_release(t);

  test_case("wrap: what cannot be wrapped stays the caller's");
  released = NULL;
  check(neap_wrap(c, NEAP_F64, 2, shape, NULL, 0, let_go, &released) == NULL);
  neap_clear(c);
  check(neap_wrap(c, NEAP_F64, 1, shape, (char *)values + 4, 0, let_go, &released) == NULL);
  check_text(c, "aligned");
  neap_clear(c);
  shape[0] = -1;
  check(neap_wrap(c, NEAP_F64, 2, shape, values, 0, let_go, &released) == NULL);
  check_int(neap_error(c), NEAP_ERR_SHAPE);
  neap_clear(c);
  check(released == NULL);
  neap_close(c);
}

static void values(void) {
  neap_context *c = neap_open(NULL);
  test_case("values: conversions of single elements, and copying out");
  const double given[] = {0, 1.5, -2.25, 65504, 1e-3, 1.0 / 3};
  int64_t n = 6;
  neap_tensor *t = neap_copy_in(c, NEAP_F64, 1, &n, given);
  float f[6];
  int8_t b[6];
  uint16_t h[6];
  check_int(neap_copy_out(t, NEAP_F32, f), 0);
  check(f[5] == (float)(1.0 / 3));
  check_int(neap_copy_out(t, NEAP_I8, b), 0);
  check(b[1] == 1 && b[2] == -2);
  check_int(neap_copy_out(t, NEAP_F16, h), 0);
  check(h[0] == 0 && h[1] == 0x3e00 && h[2] == 0xc080 && h[3] == 0x7bff && h[4] == 0x1419 && h[5] == 0x3555);
  check_int(neap_copy_out(t, NEAP_BF16, h), 0);
  check(h[1] == 0x3fc0 && h[2] == 0xc010 && h[5] == 0x3eab);
  check_int(neap_copy_out(t, NEAP_BOOL, b), 0);
  check(b[0] == 0 && b[1] == 1 && b[4] == 1);
  check(neap_item(t) == 0);
  check_int(neap_error(c), NEAP_ERR_SHAPE);
  check_text(c, "(6)");
  neap_clear(c);
  neap_release(t);
  int64_t whole = (int64_t)1 << 60 | 1;
  t = neap_copy_in(c, NEAP_I64, 0, NULL, &whole);
  check_int(neap_item_int(t), whole);
  check_int(neap_count(t), 1);
  neap_release(t);
  int64_t none[2] = {3, 0};
  t = neap_new(c, NEAP_F32, 2, none);
  check_int(neap_count(t), 0);
  check_int(neap_bytes(t), 0);
  check_int(neap_copy_out(t, NEAP_F32, f), 0);
  neap_release(t);

  test_case("values: float16 goes round for all its numbers");
  for (int i = 0; i < 65536; i++) {
    uint16_t half = (uint16_t)i, back;
    float wide;
    t = neap_copy_in(c, NEAP_F16, 0, NULL, &half);
    neap_copy_out(t, NEAP_F32, &wide);
    neap_release(t);
    t = neap_copy_in(c, NEAP_F32, 0, NULL, &wide);
    neap_copy_out(t, NEAP_F16, &back);
    neap_release(t);
    if (wide == wide && !check_int(back, half)) break;
  }
  neap_close(c);
}

static void dtypes(void) {
  test_case("dtypes: names, sizes and letters");
  check_int(neap_dtype_named("float32"), NEAP_F32);
  check_int(neap_dtype_named("bf16"), NEAP_BF16);
  check_int(neap_dtype_named("long"), NEAP_I64);
  check_int(neap_dtype_named("complex"), -1);
  check(neap_dtype_about((neap_dtype)99) == NULL);
  for (int d = 0; d < NEAP_DTYPES; d++) check_int(neap_dtype_named(neap_dtype_about((neap_dtype)d)->name), d);

  /* The whole table: PyTorch's, and for uint16, which it does not promote, the smallest dtype that holds both. */
  test_case("dtypes: promotion of all pairs");
  static const char *const order[] = {"bool", "u8", "i8", "u16", "i16", "i32", "i64", "bf16", "f16", "f32", "f64"};
  static const char *const table[11] = {
      "bool u8   i8   u16  i16  i32  i64  bf16 f16  f32  f64", /* bool */
      "u8   u8   i16  u16  i16  i32  i64  bf16 f16  f32  f64", /* u8 */
      "i8   i16  i8   i32  i16  i32  i64  bf16 f16  f32  f64", /* i8 */
      "u16  u16  i32  u16  i32  i32  i64  bf16 f16  f32  f64", /* u16 */
      "i16  i16  i16  i32  i16  i32  i64  bf16 f16  f32  f64", /* i16 */
      "i32  i32  i32  i32  i32  i32  i64  bf16 f16  f32  f64", /* i32 */
      "i64  i64  i64  i64  i64  i64  i64  bf16 f16  f32  f64", /* i64 */
      "bf16 bf16 bf16 bf16 bf16 bf16 bf16 bf16 f32  f32  f64", /* bf16 */
      "f16  f16  f16  f16  f16  f16  f16  f32  f16  f32  f64", /* f16 */
      "f32  f32  f32  f32  f32  f32  f32  f32  f32  f32  f64", /* f32 */
      "f64  f64  f64  f64  f64  f64  f64  f64  f64  f64  f64", /* f64 */
  };
  for (int i = 0; i < 11; i++)
    for (int k = 0; k < 11; k++) {
      char want[8] = {0};
      sscanf(table[i] + 5 * k, "%7s", want);
      neap_dtype got = neap_promote((neap_dtype)neap_dtype_named(order[i]), (neap_dtype)neap_dtype_named(order[k]));
      check_at(__LINE__, got == (neap_dtype)neap_dtype_named(want), "%s with %s is %s, not %s", order[i], order[k],
               neap_dtype_about(got)->letters, want);
    }
}

static void scopes(void) {
  neap_context *c = neap_open(NULL);
  size_t start = neap_memory(c).live;
  test_case("scopes: what was handed out goes, what was kept stays");
  neap_tensor *before = floats(c, 10);
  neap_scope *s = neap_scope_open(c);
  neap_tensor *kept = floats(c, 20);
  for (int i = 0; i < 5; i++) floats(c, 1000);
  neap_release(floats(c, 3));
  neap_retain(before);
  neap_retain(kept);
  neap_scope_keep(s, kept);
  neap_scope_close(s);
  check_int(neap_count(before), 10);
  check_int(neap_count(kept), 20);
  neap_release(kept);
  neap_release(kept);
  neap_release(before);
  check_int(neap_memory(c).live, start);

  test_case("scopes: an inner scope drops only what it handed out");
  s = neap_scope_open(c);
  neap_tensor *a = floats(c, 10);
  neap_scope *inner = neap_scope_open(c);
  check(neap_retain(a) == a);
  neap_tensor *b = floats(c, 11);
  neap_scope_keep(inner, b); /* the outer scope's from now on */
  neap_scope_close(inner);
  check_int(neap_count(a) + neap_count(b), 21);
  neap_release(a); /* the outer scope's one reference: gone at once */
  size_t live = neap_memory(c).live;
  neap_release(b);
  check(neap_memory(c).live < live);
  neap_scope_close(s);
  check_int(neap_memory(c).live, start);

  test_case("scopes: a release inside an inner scope takes its own reference first");
  s = neap_scope_open(c);
  a = floats(c, 10);
  inner = neap_scope_open(c);
  neap_retain(a);
  neap_release(a);
  neap_scope_close(inner);
  check_int(neap_count(a), 10);
  inner = neap_scope_open(c);
  neap_release(a); /* the outer scope's, from within */
  neap_scope_close(inner);
  neap_scope_close(s);
  check_int(neap_memory(c).live, start);

  test_case("scopes: more claims than one scope has room for");
  s = neap_scope_open(c);
  neap_tensor *many[30];
  for (int i = 0; i < 30; i++) many[i] = floats(c, i);
  inner = neap_scope_open(c);
  for (int i = 0; i < 30; i++) neap_retain(many[i]);
  neap_scope_close(inner);
  for (int i = 0; i < 30; i++) check_int(neap_count(many[i]), i);
  neap_scope_close(s);
  check_int(neap_memory(c).live, start);

  test_case("scopes: closing in another order, as coroutines do");
  s = neap_scope_open(c);
  a = floats(c, 1);
  inner = neap_scope_open(c);
  b = floats(c, 2);
  neap_retain(a);
  neap_scope_close(s);
  check_int(neap_count(a) + neap_count(b), 3);
  floats(c, 3);
  neap_scope_close(inner);
  check_int(neap_memory(c).live, start);

  test_case("scopes: an open scope keeps its context");
  s = neap_scope_open(c);
  floats(c, 4);
  neap_close(c);
  neap_scope_close(s);
  neap_scope_close(NULL);
}

static void generators(void) {
  neap_context *c = neap_open(&(neap_config){.seed = 42});
  test_case("generators: states are read and set");
  uint64_t state[2];
  neap_generator *own = neap_generator_default(c), *g = neap_generator_new(c, 7);
  neap_generator_get(own, state);
  check(state[0] == 42 && state[1] == 0);
  state[1] = 9;
  neap_generator_set(g, state);
  neap_seed(c, 5);
  neap_generator_get(own, state);
  check_int(state[0], 5);
  neap_generator_get(g, state);
  check(state[0] == 42 && state[1] == 9);
  neap_generator *one = neap_generator_fork(g, 1), *again = neap_generator_fork(g, 1), *two = neap_generator_fork(g, 2);
  uint64_t of_one[2], of_again[2], of_two[2];
  neap_generator_get(one, of_one);
  neap_generator_get(again, of_again);
  neap_generator_get(two, of_two);
  check(of_one[0] == of_again[0] && of_one[0] != of_two[0] && of_one[0] != state[0] && of_one[1] == 0);
  neap_generator_release(one);
  neap_generator_release(again);
  neap_generator_release(two);
  neap_close(c);
  neap_generator_release(own);
  neap_generator_release(g);
  neap_generator_release(NULL);
}

int main(void) {
  contexts();
  errors();
  memory();
  lifetimes();
  wrapping();
  values();
  dtypes();
  scopes();
  generators();
  return check_done();
}
