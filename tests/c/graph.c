/* The graph from C: walks that are stopped, mixed up, refused memory or answered by the host, gradients that somebody
 * holds, and what is left of a call that failed half-way. */
#include <math.h>
#include "check.h"

static neap_tensor *numbers(neap_context *c, int n, const float *x) {
  return neap_copy_in(c, NEAP_F32, 1, (const int64_t[]){n}, x);
}

static neap_tensor *leaf(neap_context *c, int n, const float *x) {
  neap_tensor *t = numbers(c, n, x);
  if (t) neap_set_requires_grad(t, 1);
  return t;
}

static double at(neap_tensor *t, int i) {
  float x[64];
  return t && neap_copy_out(t, NEAP_F32, x) == NEAP_OK ? x[i] : NAN;
}

static double grad_at(neap_tensor *t, int i) {
  neap_tensor *g = neap_grad_of(t);
  double x = g ? at(g, i) : NAN;
  neap_release(g);
  return x;
}

/* ---- walks ---- */

/* sum(exp(x) * x): a graph whose records save what they need. */
static neap_tensor *loss_of(neap_context *c, neap_tensor *x) {
  neap_tensor *e = neap_exp(c, x), *p = e ? neap_mul(c, e, x) : NULL, *s = p ? neap_sum(c, p, 0, NULL, 0, -1) : NULL;
  neap_release(e);
  neap_release(p);
  return s;
}

static double slope(double x) { return exp(x) * (1 + x); }

static int is_slope(neap_tensor *x, double times) {
  return fabs(grad_at(x, 0) - times * slope(1)) < 1e-4 && fabs(grad_at(x, 1) - times * slope(-2)) < 1e-4;
}

static const float start[] = {1, -2};

static void stopped(void) {
  test_case("graph: a walk ended after any number of steps leaves nothing behind in the graph");
  neap_context *c = neap_open(NULL);
  for (int steps = 0; steps < 5; steps++) {
    neap_tensor *x = leaf(c, 2, start), *l = loss_of(c, x);
    neap_walk *w = neap_walk_begin(c, 1, &l, NULL, 0, NULL, NEAP_RETAIN_GRAPH);
    int more = 1;
    for (int i = 0; i < steps && more == 1; i++) more = neap_walk_step(w);
    neap_walk_end(w);
    neap_set_grad(x, NULL);
    check(neap_backward(l) == NEAP_OK && is_slope(x, 1));
    neap_release(x);
    neap_release(l);
  }
  check(neap_memory(c).live < 100000);

  test_case("graph: a second walk over a graph in hand is refused, and the first one goes on");
  neap_tensor *x = leaf(c, 2, start), *l = loss_of(c, x), *g = NULL;
  neap_walk *w = neap_walk_begin(c, 1, &l, NULL, 0, NULL, 0);
  check(neap_walk_step(w) == 1);
  neap_walk *second = neap_walk_begin(c, 1, &l, NULL, 0, NULL, 0);
  int more = 1;
  while (second && more == 1) more = neap_walk_step(second);
  check(second && more == NEAP_ERR_STATE); /* it met a record that the first one has */
  check_text(c, "already being walked");
  neap_walk_end(second);
  neap_clear(c);
  neap_tensor *also = neap_exp(c, x), *both = neap_sum(c, also, 0, NULL, 0, -1);
  check(neap_backward(both) == NEAP_OK); /* another graph over the same leaf */
  while (neap_walk_step(w) == 1) {}
  neap_walk_end(w);
  check(neap_error(c) == NEAP_OK);
  check(fabs(grad_at(x, 0) - slope(1) - exp(1)) < 1e-4);
  neap_release(also);
  neap_release(both);
  neap_release(l);

  l = loss_of(c, x);
  w = neap_walk_begin(c, 1, &l, NULL, 1, &x, 0);
  check(neap_grad(c, 1, &l, NULL, 1, &x, &g, 0) == NEAP_ERR_STATE && g == NULL);
  check_text(c, "already being walked");
  neap_clear(c);
  while (neap_walk_step(w) == 1) {}
  check(neap_walk_grads(w, &g) == NEAP_OK && fabs(at(g, 1) - slope(-2)) < 1e-5);
  neap_walk_end(w);
  neap_release(g);
  neap_release(l);
  neap_release(x);
  neap_close(c);
}

static void inputs(void) {
  test_case("graph: an input given twice, one that is in between, and one that is a view of what changed");
  neap_context *c = neap_open(NULL);
  neap_tensor *x = leaf(c, 2, start), *e = neap_exp(c, x), *l = neap_sum(c, e, 0, NULL, 0, -1), *g[3] = {NULL};
  check(neap_grad(c, 1, &l, NULL, 3, (neap_tensor *[]){x, x, e}, g, 0) == NEAP_OK);
  check(fabs(at(g[0], 0) - exp(1)) < 1e-5 && fabs(at(g[1], 0) - exp(1)) < 1e-5 && at(g[2], 0) == 1);
  for (int i = 0; i < 3; i++) neap_release(g[i]);
  neap_release(l);
  neap_release(e);

  neap_tensor *y = neap_neg(c, x), *view = neap_reshape(c, y, 2, (const int64_t[]){2, 1}), *ten = neap_full(c, 0, NULL, 10, NEAP_F32);
  neap_release(neap_mul_(c, y, ten)); /* the view's history is out of date now */
  neap_tensor *ones = neap_ones_like(c, view, -1);
  check(neap_grad(c, 1, &view, &ones, 1, &x, g, 0) == NEAP_OK && at(g[0], 0) == -10);
  neap_release(g[0]);
  neap_release(ones);
  neap_release(y);
  neap_release(view);
  neap_release(ten);

  test_case("graph: a walk mixes no contexts");
  neap_context *other = neap_open(NULL);
  l = loss_of(c, x);
  check(neap_walk_begin(other, 1, &l, NULL, 0, NULL, 0) == NULL);
  check_text(other, "belongs to another context");
  neap_release(l);
  neap_close(other);
  neap_release(x);
  check(neap_error(c) == NEAP_OK && neap_memory(c).live < 100000);
  neap_close(c);
}

/* ---- the host's hooks and functions ---- */

static void answers(void) {
  test_case("graph: a hook's gradient takes its tensor's dtype, and one of another context is refused");
  neap_context *c = neap_open(NULL), *other = neap_open(NULL);
  for (int wrong = 0; wrong < 3; wrong++) {
    neap_tensor *x = leaf(c, 2, start), *l = loss_of(c, x);
    neap_hook(x, 7);
    neap_walk *w = neap_walk_begin(c, 1, &l, NULL, 0, NULL, 0);
    int more;
    while ((more = neap_walk_step(w)) == 1) {}
    const neap_walk_request *r = neap_walk_host(w);
    check(more == NEAP_WALK_HOST && r && r->kind == 1 && r->id == 7);
    neap_tensor *answer = wrong == 1 ? neap_full(other, 1, (const int64_t[]){2}, 3, NEAP_F32)
                                     : neap_full(c, 1, (const int64_t[]){wrong ? 3 : 2}, 3, NEAP_F64);
    int status = neap_walk_answer(w, &answer);
    if (wrong) {
      check(status == (wrong == 1 ? NEAP_ERR_ARGUMENT : NEAP_ERR_SHAPE));
      check_text(c, wrong == 1 ? "the hook's gradient 0 belongs to another context" : "the hook's gradient 0 has shape (3), its tensor (2)");
      neap_clear(c);
      check(neap_walk_step(w) == NEAP_ERR_STATE);
      check_text(c, "can only be ended");
      neap_clear(c);
    } else {
      check(status == NEAP_OK && neap_walk_step(w) == 0 && grad_at(x, 0) == 3);
      neap_tensor *g = neap_grad_of(x);
      check(neap_dtype_of(g) == NEAP_F32);
      neap_release(g);
    }
    neap_walk_end(w);
    neap_release(answer);
    neap_release(x);
    neap_release(l);
  }
  neap_close(other);

  test_case("graph: a custom function's gradients, in another dtype too, and a walk ended while it waits");
  for (int ended = 0; ended < 2; ended++) {
    neap_tensor *x = leaf(c, 2, start), *y = numbers(c, 2, start);
    check(neap_custom(c, 5, 1, &x, 1, &y) == NEAP_OK && neap_requires_grad(y));
    neap_tensor *l = neap_sum(c, y, 0, NULL, 0, -1);
    neap_walk *w = neap_walk_begin(c, 1, &l, NULL, 0, NULL, 0);
    int more;
    while ((more = neap_walk_step(w)) == 1) {}
    const neap_walk_request *r = neap_walk_host(w);
    check(more == NEAP_WALK_HOST && r && r->kind == 0 && r->id == 5 && r->n_in == 1 && r->needs[0] && at(r->out_grads[0], 1) == 1);
    neap_tensor *answer = neap_full(c, 1, (const int64_t[]){2}, 4, NEAP_F64);
    if (!ended) check(neap_walk_answer(w, &answer) == NEAP_OK && neap_walk_step(w) == 0 && grad_at(x, 1) == 4);
    neap_walk_end(w);
    neap_release(answer);
    neap_release(x);
    neap_release(y);
    neap_release(l);
  }
  check(neap_error(c) == NEAP_OK && neap_memory(c).live < 100000);
  neap_close(c);
}

/* ---- memory ---- */

/* Refuses the n-th request and its repetition after a trim, once `on`. */
typedef struct refusing { host_memory memory; long on, refuse, seen; } refusing;

static void *refusing_alloc(void *user, size_t size, size_t align) {
  refusing *r = user;
  if (r->on && (++r->seen == r->refuse || r->seen == r->refuse + 1)) return NULL;
  return host_alloc(&r->memory, size, align);
}

static neap_context *refusing_context(refusing *r, long n) {
  *r = (refusing){.refuse = n};
  return neap_open(&(neap_config){.user = r, .alloc = refusing_alloc, .dealloc = host_dealloc, .no_pool = 1});
}

/* Two losses over one leaf; the second backward is refused request n. Then it is done again. 0: it has fewer requests. */
static int backward_refused(long n, int n_in) {
  refusing r;
  neap_context *c = refusing_context(&r, n);
  neap_tensor *x = leaf(c, 2, start), *l = loss_of(c, x), *g = NULL;
  check(neap_backward(l) == NEAP_OK); /* the leaf has a gradient */
  neap_release(l);
  l = loss_of(c, x);
  r.on = 1;
  int status = n_in ? neap_grad(c, 1, &l, NULL, 1, &x, &g, NEAP_RETAIN_GRAPH) : neap_grad(c, 1, &l, NULL, 0, NULL, NULL, NEAP_RETAIN_GRAPH);
  r.on = 0;
  int reached = r.seen >= n;
  check_at(__LINE__, status == (reached ? NEAP_ERR_MEMORY : NEAP_OK), "request %ld: %s", n, neap_error_message(c));
  neap_release(g);
  neap_clear(c);
  neap_set_grad(x, NULL);
  check_at(__LINE__, neap_backward(l) == NEAP_OK && is_slope(x, 1), "request %ld: %s, %g", n, neap_error_message(c), grad_at(x, 0));
  neap_release(l);
  neap_release(x);
  neap_close(c);
  check_int(r.memory.live, 0);
  return reached;
}

/* exp saves its result y; a write to y, or to a view of it, is refused request n. 0: it has fewer requests. */
static int write_refused(long n, int by_view) {
  refusing r;
  neap_context *c = refusing_context(&r, n);
  neap_tensor *x = leaf(c, 2, start), *y = neap_exp(c, x), *to = by_view ? neap_narrow(c, y, 0, 0, 1) : neap_retain(y);
  neap_tensor *mask = neap_full(c, 1, (const int64_t[]){neap_count(to)}, 1, NEAP_BOOL), *source = numbers(c, 2, start);
  double was = at(y, 0);
  r.on = 1;
  neap_tensor *out = neap_masked_scatter_(c, to, mask, source);
  r.on = 0;
  int reached = r.seen >= n;
  check(reached ? !out && neap_error(c) == NEAP_ERR_MEMORY : out && neap_error(c) == NEAP_OK);
  neap_release(out);
  neap_clear(c);
  int changed = at(y, 0) != was;
  check(reached || changed);
  neap_tensor *l = neap_sum(c, y, 0, NULL, 0, -1);
  int status = neap_backward(l);
  if (changed) check_at(__LINE__, status == NEAP_ERR_STATE, "request %ld: %d", n, status); /* exp needs its result */
  else if (status == NEAP_OK) check(fabs(grad_at(x, 0) - was) < 1e-5);
  neap_clear(c);
  neap_tensor *all[] = {x, y, to, mask, source, l};
  for (int i = 0; i < 6; i++) neap_release(all[i]);
  neap_close(c);
  check_int(r.memory.live, 0);
  return reached;
}

static void refused(void) {
  test_case("graph: a backward that is refused memory can be done again");
  for (int n_in = 0; n_in < 2; n_in++) {
    long n = 1;
    while (backward_refused(n, n_in) && !check_failures) n++;
    check(n > 8);
  }
  test_case("graph: a write that is refused memory is not taken for one that did not happen");
  for (int by_view = 0; by_view < 2; by_view++) {
    long n = 1;
    while (write_refused(n, by_view) && !check_failures) n++;
    check(n > 4);
  }
}

/* ---- gradients that are held ---- */

static void held(void) {
  test_case("graph: memory that a gradient was given in is not written to once it is cleared");
  neap_context *c = neap_open(NULL);
  float mine[] = {5, 6};
  neap_tensor *x = leaf(c, 2, start), *g = neap_wrap(c, NEAP_F32, 1, (const int64_t[]){2}, mine, 0, NULL, NULL);
  check(neap_set_grad(x, g) == NEAP_OK && neap_set_grad(x, NULL) == NEAP_OK && neap_grad_of(x) == NULL);
  neap_tensor *l = loss_of(c, x);
  check(neap_backward(l) == NEAP_OK && is_slope(x, 1) && mine[0] == 5);
  neap_release(g);
  neap_release(l);
  g = neap_grad_of(x);
  neap_set_grad(x, NULL);
  l = loss_of(c, x);
  neap_set_requires_grad(x, 1);
  check(neap_backward(l) == NEAP_OK && fabs(at(g, 0) - slope(1)) < 1e-4);
  neap_tensor *again = neap_grad_of(x);
  check(again != g);
  neap_release(again);
  neap_release(g);
  neap_release(l);
  neap_release(x);
  neap_close(c);
}

static int warnings;
static void count_warning(void *user, int level, const char *text) {
  (void)user, (void)level;
  warnings += strstr(text, "create_graph") != NULL;
}

static void cycle(void) {
  test_case("graph: create_graph into a leaf says once that the two hold each other");
  neap_context *c = neap_open(&(neap_config){.log = count_warning});
  neap_tensor *x = leaf(c, 2, start), *g = NULL;
  for (int i = 0; i < 2; i++) {
    neap_tensor *l = loss_of(c, x);
    check(neap_grad(c, 1, &l, NULL, 1, &x, &g, NEAP_CREATE_GRAPH) == NEAP_OK && warnings == i);
    check(neap_grad(c, 1, &l, NULL, 0, NULL, NULL, NEAP_CREATE_GRAPH) == NEAP_OK && warnings == 1);
    neap_set_grad(x, NULL);
    neap_release(g);
    neap_release(l);
  }
  neap_release(x);
  check(neap_memory(c).live < 100000);
  neap_close(c);
}

/* ---- arguments that only C can get wrong ---- */

static void arguments(void) {
  test_case("call: enums, dtypes and generators that there are not, and outputs of a call that is not made");
  neap_context *c = neap_open(NULL), *other = neap_open(NULL);
  neap_tensor *x = numbers(c, 2, start), *none = x;
  check(neap_mse_loss(c, x, x, 3) == NULL);
  check_text(c, "mse_loss: reduction is choice 3 of none|mean|sum, counted from 0");
  neap_clear(c);
  check(neap_to(c, x, 99) == NULL && neap_error(c) == NEAP_ERR_DTYPE);
  check_text(c, "there is no dtype with number 99");
  neap_value a[] = {{.kind = NEAP_TENSOR, .t = x}};
  check(neap_call(c, neap_op_find("neg"), 1, a, &none, 0, NULL) == NEAP_ERR_DTYPE && none == NULL); /* the error is still pending */
  neap_clear(c);
  neap_generator *g = neap_generator_new(other, 1);
  check(neap_rand(c, 1, (const int64_t[]){2}, -1, g) == NULL);
  check_text(c, "rand: generator belongs to another context");
  neap_clear(c);
  neap_generator_release(g);
  neap_release(x);
  x = neap_zeros(c, 0, NULL, NEAP_F32);
  check(x && neap_ndim(x) == 0 && neap_count(x) == 1 && neap_item(x) == 0);
  neap_release(x);
  neap_close(other);
  neap_close(c);
}

/* ---- lists ---- */

static void lists(void) {
  test_case("call: an op that puts out a list says how many, fills no more than there is room for, and gives views");
  neap_context *c = neap_open(NULL);
  neap_scope *scope = neap_scope_open(c);
  neap_tensor *x = numbers(c, 5, (const float[]){1, 2, 3, 4, 5}), *part[4] = {x, x, x, x};
  int64_t two = 2, sizes[] = {1, 4}, wrong[] = {1, 3};
  neap_set_requires_grad(x, 1);
  check(neap_split(c, x, NEAP_ONE, &two, 0, NULL, 0) == 3);
  check(neap_split(c, x, NEAP_ONE, &two, 0, part, 2) < 0 && part[0] == x);
  check_text(c, "split: puts out 3 tensors, and there is room for 2");
  check(neap_split(c, x, 2, sizes, 0, part, 4) < 0 && part[0] == x); /* the error is still pending */
  neap_clear(c);
  check(neap_split(c, x, 2, wrong, 0, part, 4) < 0);
  check_text(c, "split: the sizes add up to 4, dimension 0 of x has size 5");
  neap_clear(c);
  check(neap_split(c, x, 2, sizes, 0, part, 4) == 2 && neap_count(part[0]) == 1 && neap_count(part[1]) == 4 && part[2] == x);
  neap_tensor *s = neap_sum(c, part[1], 0, NULL, 0, -1);
  check(neap_backward(s) == NEAP_OK && neap_item(neap_select(c, neap_grad_of(x), 0, 0)) == 0);
  neap_value a[] = {{.kind = NEAP_TENSOR, .t = x}, {.kind = NEAP_INT, .i = 2}};
  check(neap_call(c, neap_op_find("split"), 2, a, part + 2, 0, NULL) < 0 && part[2] == NULL);
  check_text(c, "split: puts out a list of tensors: it goes by neap_call_list");
  neap_clear(c);
  check(neap_call_list(c, neap_op_find("neg"), 1, a, NULL, 0, NULL) == 1);
  check(neap_call_list(c, neap_op_find("neg"), 1, a, part + 2, 0, NULL) < 0);
  check_text(c, "neg: puts out 1 tensors, and there is room for 0");
  neap_clear(c);
  check(neap_call_list(c, neap_op_find("neg"), 1, a, part + 2, 1, NULL) == 1 && neap_item(neap_select(c, part[2], 0, 0)) == -1);
  neap_scope_close(scope);
  neap_close(c);
}

int main(void) {
  lists();
  stopped();
  inputs();
  answers();
  refused();
  held();
  cycle();
  arguments();
  return check_done();
}
