/* Optimizers from C: each rule's path against its formula written out in double, groups, parameters without gradients,
 * memory that others share, gradients that lie elsewhere, state, clipping, penalties, and what is refused. */
#include <math.h>
#include "check.h"

static neap_context *c;

#define NUMBER(v) {.kind = NEAP_NUMBER, .d = v}
#define ON {.kind = NEAP_FLAG, .i = 1}
#define SKIP {.kind = NEAP_NONE}

static neap_tensor *leaf(neap_dtype d, int64_t n, double first) { /* first, first + 0.1, ... */
  neap_tensor *t = neap_new(c, d, 1, &n);
  for (int64_t i = 0; i < n; i++) {
    if (d == NEAP_F64) ((double *)neap_data(t))[i] = first + 0.1 * (double)i;
    else ((float *)neap_data(t))[i] = (float)(first + 0.1 * (double)i);
  }
  neap_set_requires_grad(t, 1);
  return t;
}

static double at(const neap_tensor *t, int64_t i) {
  return neap_dtype_of(t) == NEAP_F64 ? ((const double *)neap_read(t))[i] : ((const float *)neap_read(t))[i];
}

/* The gradient 2 w - 1 + k/8 at step k: of sum (w - a)^2, recorded and walked. */
static void backward(neap_tensor *w, int k) {
  neap_scope *s = neap_scope_open(c);
  int64_t one = 1;
  neap_tensor *a = neap_new(c, neap_dtype_of(w), 1, &one);
  neap_init_constant(a, 0.5 - k / 16.0);
  neap_backward(neap_sum(c, neap_square(c, neap_sub(c, w, a)), 0, NULL, 0, -1));
  neap_scope_close(s);
}
static double slope(double w, int k) { return 2 * (w - (0.5 - k / 16.0)); }

static neap_optimizer *optimizer(const char *rule, int n, neap_tensor *const *w, int n_set, const neap_value *set) {
  neap_optimizer *o = neap_optimizer_new(c, neap_rule_find(rule));
  if (o && neap_optimizer_add(o, n, w, n_set, set) != 0) {
    neap_optimizer_release(o);
    return NULL;
  }
  return o;
}

/* ---- paths ---- */

typedef struct state { double m, v, top, b; } state;
typedef struct setting { double lr, p1, p2, eps, decay; int flag, maximize; } setting;
typedef double (*formula)(double w, double g, state *s, const setting *a, int k);

static double sgd(double w, double g, state *s, const setting *a, int k) { /* p1 momentum, p2 dampening, flag nesterov */
  if (a->maximize) g = -g;
  g += a->decay * w;
  if (a->p1 == 0) return w - a->lr * g;
  s->b = k == 1 ? g : a->p1 * s->b + (1 - a->p2) * g;
  return w - a->lr * (a->flag ? g + a->p1 * s->b : s->b);
}

static double adam_step(double w, double g, state *s, const setting *a, int k) { /* flag amsgrad */
  s->m = a->p1 * s->m + (1 - a->p1) * g;
  s->v = a->p2 * s->v + (1 - a->p2) * g * g;
  s->top = fmax(s->top, s->v);
  double v = (a->flag ? s->top : s->v) / (1 - pow(a->p2, k));
  return w - a->lr * (s->m / (1 - pow(a->p1, k))) / (sqrt(v) + a->eps);
}
static double adam(double w, double g, state *s, const setting *a, int k) {
  return adam_step(w, (a->maximize ? -g : g) + a->decay * w, s, a, k);
}
static double adamw(double w, double g, state *s, const setting *a, int k) {
  return adam_step(w * (1 - a->lr * a->decay), a->maximize ? -g : g, s, a, k);
}

static double rmsprop(double w, double g, state *s, const setting *a, int k) { /* p1 alpha, p2 momentum, flag centered */
  (void)k;
  g = (a->maximize ? -g : g) + a->decay * w;
  s->v = a->p1 * s->v + (1 - a->p1) * g * g;
  if (a->flag) s->m = a->p1 * s->m + (1 - a->p1) * g;
  g /= sqrt(s->v - s->m * s->m) + a->eps;
  s->b = a->p2 * s->b + g;
  return w - a->lr * s->b;
}

typedef struct path { const char *rule; formula f; setting a; int n; neap_value set[8]; } path;
static const path paths[] = {
  {"SGD", sgd, {.lr = 0.1}, 1, {NUMBER(0.1)}},
  {"SGD", sgd, {.lr = 0.1, .p1 = 0.9, .decay = 0.01}, 4, {NUMBER(0.1), NUMBER(0.9), SKIP, NUMBER(0.01)}},
  {"SGD", sgd, {.lr = 0.1, .p1 = 0.9, .p2 = 0.5}, 3, {NUMBER(0.1), NUMBER(0.9), NUMBER(0.5)}},
  {"SGD", sgd, {.lr = 0.05, .p1 = 0.8, .flag = 1}, 5, {NUMBER(0.05), NUMBER(0.8), SKIP, SKIP, ON}},
  {"SGD", sgd, {.lr = 0.01, .p1 = 0.5, .decay = 0.1, .maximize = 1}, 6,
   {NUMBER(0.01), NUMBER(0.5), SKIP, NUMBER(0.1), SKIP, ON}},
  {"Adam", adam, {.lr = 0.001, .p1 = 0.9, .p2 = 0.999, .eps = 1e-8}, 0, {{0}}},
  {"Adam", adam, {.lr = 0.1, .p1 = 0.8, .p2 = 0.9, .eps = 1e-3, .decay = 0.1}, 5,
   {NUMBER(0.1), NUMBER(0.8), NUMBER(0.9), NUMBER(1e-3), NUMBER(0.1)}},
  {"Adam", adam, {.lr = 0.1, .p1 = 0.8, .p2 = 0.5, .eps = 1e-8, .flag = 1}, 6,
   {NUMBER(0.1), NUMBER(0.8), NUMBER(0.5), SKIP, SKIP, ON}},
  {"Adam", adam, {.lr = 0.1, .p1 = 0.9, .p2 = 0.999, .eps = 1e-8, .maximize = 1}, 7,
   {NUMBER(0.1), SKIP, SKIP, SKIP, SKIP, SKIP, ON}},
  {"AdamW", adamw, {.lr = 0.1, .p1 = 0.9, .p2 = 0.999, .eps = 1e-8, .decay = 0.01}, 1, {NUMBER(0.1)}},
  {"AdamW", adamw, {.lr = 0.1, .p1 = 0.9, .p2 = 0.6, .eps = 1e-8, .decay = 0.3, .flag = 1}, 6,
   {NUMBER(0.1), SKIP, NUMBER(0.6), SKIP, NUMBER(0.3), ON}},
  {"RMSprop", rmsprop, {.lr = 0.01, .p1 = 0.99, .eps = 1e-8}, 0, {{0}}},
  {"RMSprop", rmsprop, {.lr = 0.02, .p1 = 0.9, .eps = 1e-4, .decay = 0.1, .p2 = 0.7}, 5,
   {NUMBER(0.02), NUMBER(0.9), NUMBER(1e-4), NUMBER(0.1), NUMBER(0.7)}},
  {"RMSprop", rmsprop, {.lr = 0.02, .p1 = 0.9, .eps = 1e-4, .p2 = 0.7, .flag = 1}, 6,
   {NUMBER(0.02), NUMBER(0.9), NUMBER(1e-4), SKIP, NUMBER(0.7), ON}},
  {"RMSprop", rmsprop, {.lr = 0.02, .p1 = 0.9, .eps = 1e-4, .flag = 1, .maximize = 1}, 7,
   {NUMBER(0.02), NUMBER(0.9), NUMBER(1e-4), SKIP, SKIP, ON, ON}},
};

static void follow(const path *p, neap_dtype d, double tolerance) {
  enum { N = 19, STEPS = 12 }; /* two parameters of odd length, side by side */
  neap_tensor *w[2] = {leaf(d, N, -1), leaf(d, 5, 2)};
  double value[N + 5];
  state s[N + 5] = {{0}};
  for (int i = 0; i < N + 5; i++) value[i] = i < N ? at(w[0], i) : at(w[1], i - N);
  neap_optimizer *o = optimizer(p->rule, 2, w, p->n, p->set);
  for (int k = 1; o && k <= STEPS; k++) {
    for (int i = 0; i < N + 5; i++) value[i] = p->f(value[i], slope(value[i], k), &s[i], &p->a, k);
    backward(w[0], k);
    backward(w[1], k);
    check(neap_optimizer_step(o) == NEAP_OK);
    neap_optimizer_zero_grad(o);
  }
  double worst = 0;
  for (int i = 0; i < N + 5; i++) worst = fmax(worst, fabs(value[i] - (i < N ? at(w[0], i) : at(w[1], i - N))));
  check_at(__LINE__, o && worst < tolerance, "%s, path %d, %s: off by %g: %s", p->rule, (int)(p - paths),
           neap_dtype_about(d)->name, worst, neap_error_message(c));
  neap_optimizer_release(o);
  neap_release(w[0]);
  neap_release(w[1]);
  neap_clear(c);
}

static void rules(void) {
  test_case("optim: every rule follows its formula");
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    follow(&paths[i], NEAP_F64, 1e-12);
    follow(&paths[i], NEAP_F32, 2e-4);
  }
  test_case("optim: rules are found by name and say what they are");
  for (int i = 0; i < neap_rule_count(); i++) {
    const neap_rule_info *r = neap_rule_about(c, i);
    check(r && neap_rule_find(r->name) == i && strcmp(r->params[0].name, "lr") == 0 && (r->n_slots >= 1 || r->told) && r->doc);
    check(r == neap_rule_about(c, i));
  }
  const neap_rule_info *r = neap_rule_about(c, neap_rule_find("Adam"));
  check(strcmp(r->slots[0], "exp_avg") == 0 && strcmp(r->slots[2], "max_exp_avg_sq") == 0);
  check(neap_rule_find("Magic") == -1 && neap_rule_about(c, -1) == NULL);
}

/* ---- groups and memory ---- */

static void groups(void) {
  test_case("optim: groups have their own settings, and one without a gradient stays as it is");
  neap_tensor *w[3] = {leaf(NEAP_F32, 3, 0), leaf(NEAP_F32, 4, 0), leaf(NEAP_F64, 2, 0)};
  neap_optimizer *o = optimizer("SGD", 2, w, 1, (neap_value[]){NUMBER(0.5)});
  check(neap_optimizer_add(o, 1, w + 2, 1, (neap_value[]){NUMBER(0.25)}) == NEAP_OK);
  check(neap_optimizer_group_count(o) == 2 && neap_optimizer_group_size(o, 0) == 2 && neap_optimizer_group_size(o, 9) == 0);
  check(neap_optimizer_parameter(o, 1, 0) == w[2] && neap_optimizer_parameter(o, 1, 1) == NULL);
  backward(w[0], 0);
  backward(w[2], 0);
  neap_optimizer_step(o);
  check(fabs(at(w[0], 1) - (0.1 - 0.5 * slope(0.1, 0))) < 1e-6);
  check(fabs(at(w[2], 1) - (0.1 - 0.25 * slope(0.1, 0))) < 1e-15);
  check(at(w[1], 3) == (double)0.3f);
  check(neap_optimizer_steps(o, 0, 0) == 1 && neap_optimizer_steps(o, 0, 1) == 0 && neap_optimizer_steps(o, 1, 0) == 1);

  test_case("optim: settings are read and changed, and bad ones refused");
  check(neap_optimizer_set(o, 1, 0, (neap_value){.kind = NEAP_INT, .i = 2}) == NEAP_OK);
  check(neap_optimizer_setting(o, 1, 0).d == 2 && neap_optimizer_setting(o, 0, 0).d == 0.5);
  check(neap_optimizer_set(o, 1, 0, (neap_value)NUMBER(-1)) == NEAP_ERR_ARGUMENT);
  check_text(c, "SGD: lr must be 0 or more, not -1");
  neap_clear(c);
  check(neap_optimizer_set(o, 0, 4, (neap_value)ON) == NEAP_ERR_ARGUMENT);
  check_text(c, "nesterov needs a momentum");
  neap_clear(c);
  check(neap_optimizer_set(o, 7, 0, (neap_value)NUMBER(1)) == NEAP_ERR_INDEX);
  neap_clear(c);
  neap_optimizer_release(o);
  check(!optimizer("Adam", 2, w, 2, (neap_value[]){SKIP, NUMBER(1)}));
  check_text(c, "Adam: beta1 must be below 1");
  neap_clear(c);
  for (int i = 0; i < 3; i++) neap_release(w[i]);
}

static void refused(void) {
  test_case("optim: parameters given twice, results of ops and other dtypes are refused");
  int64_t n = 3;
  neap_tensor *w[3] = {leaf(NEAP_F32, 3, 0), leaf(NEAP_F32, 3, 1), NULL};
  check(!optimizer("SGD", 2, (neap_tensor *[]){w[0], w[0]}, 0, NULL));
  check_text(c, "parameter 1 is already being optimized");
  neap_clear(c);
  neap_optimizer *o = optimizer("SGD", 1, w, 0, NULL);
  check(neap_optimizer_add(o, 2, (neap_tensor *[]){w[1], w[0]}, 0, NULL) == NEAP_ERR_ARGUMENT);
  check_text(c, "parameter 1 is already being optimized");
  neap_clear(c);
  check(neap_optimizer_add(o, 1, w + 1, 0, NULL) == NEAP_OK); /* a refusal leaves no trace */
  w[2] = neap_add(c, w[0], w[1]);
  check(neap_optimizer_add(o, 1, w + 2, 0, NULL) == NEAP_ERR_ARGUMENT);
  check_text(c, "only leaves");
  neap_clear(c);
  neap_release(w[2]);
  w[2] = neap_new(c, NEAP_I32, 1, &n);
  check(neap_optimizer_add(o, 1, w + 2, 0, NULL) == NEAP_ERR_DTYPE);
  neap_clear(c);
  check(neap_optimizer_add(o, 0, NULL, 0, NULL) == NEAP_ERR_ARGUMENT);
  neap_clear(c);
  neap_optimizer_release(o);
  for (int i = 0; i < 3; i++) neap_release(w[i]);
}

static void shared_memory(void) {
  test_case("optim: memory that others share stays where it is, and they see the update");
  neap_tensor *w[3] = {leaf(NEAP_F32, 4, 0), leaf(NEAP_F32, 4, 1), leaf(NEAP_F32, 4, 2)};
  neap_tensor *view = neap_detach(c, w[1]);
  const void *before = neap_read(w[1]);
  neap_optimizer *o = optimizer("SGD", 3, w, 1, (neap_value[]){NUMBER(0.5)});
  check(neap_read(w[1]) == before);
  for (int i = 0; i < 3; i++) backward(w[i], 0);
  neap_optimizer_step(o);
  check(fabs(at(view, 2) - (1.2 - 0.5 * slope(1.2, 0))) < 1e-6);
  check(fabs(at(w[2], 2) - (2.2 - 0.5 * slope(2.2, 0))) < 1e-6 && fabs(at(w[0], 2) - (0.2 - 0.5 * slope(0.2, 0))) < 1e-6);

  test_case("optim: gradients return to their home unless somebody looks at them");
  neap_tensor *g = neap_grad_of(w[0]), *held = neap_grad_of(w[1]);
  const void *home = neap_read(g), *held_home = neap_read(held);
  double was = at(held, 0);
  neap_release(g);
  neap_optimizer_zero_grad(o);
  for (int i = 0; i < 3; i++) backward(w[i], 1);
  g = neap_grad_of(w[0]);
  check(neap_read(g) == home);
  neap_release(g);
  check(at(held, 0) == was);
  neap_release(held);
  neap_optimizer_step(o);
  neap_optimizer_zero_grad(o);
  backward(w[1], 2);
  g = neap_grad_of(w[1]);
  check(neap_read(g) == held_home);
  neap_release(g);
  neap_optimizer_release(o);
  neap_release(view);
  for (int i = 0; i < 3; i++) neap_release(w[i]);
}

static void loose(void) {
  test_case("optim: strided parameters and gradients that were assigned");
  neap_tensor *base = leaf(NEAP_F32, 12, 0);
  neap_set_requires_grad(base, 0);
  neap_tensor *square = neap_reshape(c, base, 2, (const int64_t[]){3, 4}), *w = neap_t(c, square);
  neap_set_requires_grad(w, 1);
  neap_tensor *other = leaf(NEAP_F32, 3, 5), *g = leaf(NEAP_F32, 3, 1);
  neap_set_requires_grad(g, 0);
  neap_optimizer *o = optimizer("Adam", 2, (neap_tensor *[]){w, other}, 1, (neap_value[]){NUMBER(0.1)});
  check(o && !neap_is_contiguous(w));
  neap_tensor *loss = neap_sum(c, w, 0, NULL, 0, -1);
  neap_backward(loss);
  check(neap_set_grad(other, g) == NEAP_OK);
  neap_optimizer_step(o);
  check(fabs(at(base, 5) - 0.4) < 1e-5 && fabs(at(base, 11) - 1.0) < 1e-5); /* Adam's first step is lr */
  check(fabs(at(other, 2) - 5.1) < 1e-5 && fabs(at(g, 2) - 1.2) < 1e-6);
  neap_optimizer_zero_grad(o);
  check(neap_grad_of(other) == NULL);
  neap_optimizer_release(o);
  neap_release(loss);
  neap_release(g);
  neap_release(other);
  neap_release(w);
  neap_release(square);
  neap_release(base);
}

static void state_moves(void) {
  test_case("optim: state read from one optimizer and set in another goes on with the same bits");
  neap_tensor *w[2] = {leaf(NEAP_F32, 70, -3), leaf(NEAP_F32, 70, -3)};
  neap_optimizer *o[2];
  for (int k = 0; k < 2; k++) o[k] = optimizer("RMSprop", 1, w + k, 5, (neap_value[]){SKIP, SKIP, SKIP, SKIP, NUMBER(0.9)});
  check(neap_optimizer_state(o[0], 0, 0, 0) == NULL); /* no step yet */
  for (int i = 0; i < 3; i++) {
    backward(w[0], i);
    neap_optimizer_step(o[0]);
    neap_optimizer_zero_grad(o[0]);
  }
  check(neap_optimizer_state(o[0], 0, 0, 1) == NULL); /* grad_avg: not centered */
  neap_optimizer_set_steps(o[1], 0, 0, neap_optimizer_steps(o[0], 0, 0));
  memcpy(neap_data(w[1]), neap_read(w[0]), 70 * sizeof(float));
  for (int slot = 0; slot < 3; slot++) {
    neap_tensor *from = neap_optimizer_state(o[0], 0, 0, slot), *to = neap_optimizer_state(o[1], 0, 0, slot);
    check((slot == 1) == (from == NULL) && !from == !to);
    if (to) memcpy(neap_data(to), neap_read(from), 70 * sizeof(float));
    neap_release(from);
    neap_release(to);
  }
  for (int k = 0; k < 2; k++) {
    backward(w[k], 4);
    neap_optimizer_step(o[k]);
  }
  check(memcmp(neap_read(w[0]), neap_read(w[1]), 70 * sizeof(float)) == 0);
  check(neap_optimizer_set_steps(o[1], 0, 0, -1) == NEAP_ERR_INDEX);
  neap_clear(c);

  test_case("optim: a second optimizer takes over, the first one still works");
  neap_optimizer *next = optimizer("SGD", 1, w, 1, (neap_value[]){NUMBER(1)});
  double before = at(w[0], 0), g;
  neap_optimizer_zero_grad(next);
  backward(w[0], 0);
  g = at(w[0], 0);
  check(neap_optimizer_step(next) == NEAP_OK && fabs(at(w[0], 0) - (before - slope(g, 0))) < 1e-5);
  check(neap_optimizer_step(o[0]) == NEAP_OK);
  neap_optimizer_zero_grad(o[0]);
  neap_optimizer_release(next);
  for (int k = 0; k < 2; k++) {
    neap_optimizer_release(o[k]);
    neap_release(w[k]);
  }
}

static void converted(void) {
  test_case("optim: a parameter that became another dtype is refused, not misread");
  neap_value a[2] = {{.kind = NEAP_INT, .i = 2}, {.kind = NEAP_INT, .i = 2}};
  neap_module *m = neap_module_new(c, neap_layer_find("Linear"), 2, a);
  neap_tensor *w[2];
  neap_module_parameters(m, w, 2);
  neap_optimizer *o = optimizer("SGD", 2, w, 0, NULL);
  neap_module_to(m, NEAP_F64);
  neap_tensor *loss = neap_sum(c, w[0], 0, NULL, 0, -1);
  neap_backward(loss);
  check(neap_optimizer_step(o) == NEAP_ERR_DTYPE);
  check_text(c, "SGD: parameter 0 became float64");
  neap_clear(c);
  neap_optimizer_zero_grad(o);
  neap_release(loss);
  neap_optimizer_release(o);
  neap_module_release(m);
}

/* ---- schedules ---- */

static double rate(const char *name, double base, double t, int n, const neap_value *set, double *momentum) {
  double r = -1;
  neap_schedule_at(c, neap_schedule_find(name), base, t, n, set, &r, momentum);
  return r;
}

static void schedules(void) {
  test_case("optim: schedules are functions of the count of steps");
  const neap_value step[2] = {{.kind = NEAP_INT, .i = 3}, NUMBER(0.5)}, warm[1] = {{.kind = NEAP_INT, .i = 4}};
  const int64_t stone[2] = {2, 5};
  const neap_value stones[2] = {{.kind = NEAP_INTS, .n = 2, .is = stone}, NUMBER(0.5)};
  double m = 0;
  check(rate("StepLR", 8, 0, 2, step, &m) == 8 && m != m && rate("StepLR", 8, 7, 2, step, NULL) == 2);
  check(rate("MultiStepLR", 8, 4, 2, stones, NULL) == 4 && rate("MultiStepLR", 8, 5, 2, stones, NULL) == 2);
  check(rate("LinearWarmup", 8, 1, 1, warm, NULL) == 2 && rate("LinearWarmup", 8, 9, 1, warm, NULL) == 8);
  const neap_value one[2] = {NUMBER(0.5), {.kind = NEAP_INT, .i = 10}};
  check(fabs(rate("OneCycleLR", 0, 2, 2, one, &m) - 0.5) < 1e-15 && fabs(m - 0.85) < 1e-15);
  check(rate("OneCycleLR", 0, 11, 2, one, &m) == -1 && neap_error(c) == NEAP_ERR_INDEX);
  check_text(c, "OneCycleLR: there is no step 11");
  neap_clear(c);
  check(rate("StepLR", 8, -1, 2, step, NULL) == -1 && rate("StepLR", 8, 1, 2, step, NULL) == -1); /* an error is pending */
  neap_clear(c);
  check(rate("Magic", 8, 1, 0, NULL, NULL) == -1 && neap_schedule_about(c, -1) == NULL);
  check_text(c, "there is no schedule with number -1");
  neap_clear(c);
  for (int i = 0; i < neap_schedule_count(); i++) {
    const neap_schedule_info *info = neap_schedule_about(c, i);
    check(info && neap_schedule_find(info->name) == i && info == neap_schedule_about(c, i) && info->n_params >= 1);
  }

  test_case("optim: a plateau is noticed, and the rate reduced");
  const neap_value set[3] = {SKIP, NUMBER(0.5), {.kind = NEAP_INT, .i = 1}};
  const double measures[] = {3, 2, 2, 2, 1.5, 1.5, 1.5, 1.5};
  neap_plateau p = {0};
  double lr = 1, wanted[] = {1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25};
  for (int i = 0; i < 8; i++) {
    int reduce = neap_plateau_step(c, &p, measures[i], 3, set);
    if (reduce == 1) lr = rate("ReduceLROnPlateau", lr, 1, 3, set, NULL);
    check(reduce >= 0 && lr == wanted[i]);
  }
  check(neap_plateau_step(c, &p, 1, 2, (neap_value[]){SKIP, NUMBER(1)}) == NEAP_ERR_ARGUMENT);
  neap_clear(c);
}

/* ---- gradients between backward and step ---- */

static void clipping(void) {
  test_case("optim: gradients are clipped by norm and by value");
  neap_tensor *w[3] = {leaf(NEAP_F32, 40000, 0), leaf(NEAP_F64, 3, 1), leaf(NEAP_F32, 2, 1)};
  double sum[4] = {0};
  for (int i = 0; i < 2; i++) backward(w[i], 0);
  for (int i = 0; i < 2; i++) {
    neap_tensor *g = neap_grad_of(w[i]);
    for (int64_t k = 0; k < neap_count(g); k++) {
      double v = fabs(at(g, k));
      sum[0] += v;
      sum[1] += v * v;
      sum[2] += v * v * v;
      sum[3] = fmax(sum[3], v);
    }
    neap_release(g);
  }
  check(fabs(neap_clip_grad_norm(c, 3, w, 1e9, 1) / sum[0] - 1) < 1e-6);
  check(fabs(neap_clip_grad_norm(c, 3, w, 1e9, 2) / sqrt(sum[1]) - 1) < 1e-6);
  check(fabs(neap_clip_grad_norm(c, 3, w, 1e12, 3) / cbrt(sum[2]) - 1) < 1e-6);
  check(neap_clip_grad_norm(c, 3, w, 1e9, INFINITY) == sum[3]);
  check(neap_clip_grad_norm(c, 3, w, 2, 2) > 2);
  check(fabs(neap_clip_grad_norm(c, 3, w, 2, 2) - 2) < 1e-5);
  neap_clip_grad_value(c, 3, w, 0.001);
  check(fabs(neap_clip_grad_norm(c, 3, w, 1e9, INFINITY) - 0.001) < 1e-9);
  check(neap_grad_of(w[2]) == NULL);
  check(neap_clip_grad_norm(c, 3, w, -1, 2) == 0 && neap_error(c) == NEAP_ERR_ARGUMENT);
  neap_clear(c);
  for (int i = 0; i < 3; i++) neap_release(w[i]);

  test_case("optim: a penalty is recorded with the loss");
  w[0] = leaf(NEAP_F64, 2, -1); /* -1, -0.9 */
  neap_tensor *p = neap_penalty(c, 1, w, 0.5, 3);
  check(p && fabs(neap_item(p) - (0.5 * 1.9 + 3 * 1.81)) < 1e-12);
  neap_backward(p);
  neap_tensor *g = neap_grad_of(w[0]);
  check(g && fabs(at(g, 1) - (-0.5 + 6 * -0.9)) < 1e-12);
  neap_release(g);
  neap_release(p);
  p = neap_penalty(c, 1, w, 0, 0);
  check(p && neap_item(p) == 0);
  neap_release(p);
  neap_release(w[0]);
}

int main(void) {
  host_memory memory = {0};
  neap_config config = host_config(&memory);
  c = neap_open(&config);
  rules();
  groups();
  refused();
  shared_memory();
  loose();
  state_moves();
  converted();
  schedules();
  clipping();
  test_case("optim: nothing is left behind");
  check_at(__LINE__, neap_error(c) == NEAP_OK, "%s", neap_error_message(c));
  neap_close(c);
  check_int(memory.live, 0);
  return check_done();
}
