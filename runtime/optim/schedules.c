/* Schedules: learning rates as functions of the number of steps taken, PyTorch's (torch.optim.lr_scheduler) in closed
 * form. They know no optimizer: who has one sets the rate of its groups. Only ReduceLROnPlateau looks at more than the
 * count, and what it remembers is the caller's. */
#include <math.h>
#include <string.h>
#include "optim.h"

#define PI 3.14159265358979323846

typedef struct schedule {
  const char *name, *signature;
  int (*check)(neap_context *c, const neap_value *s);
  double (*rate)(const neap_value *s, double base, double t);
  double (*momentum)(const neap_value *s, double t);
  const char *doc;
} schedule;

/* ---- settings ---- */

static int fine(neap_context *c, const neap_value *s) {
  (void)c, (void)s;
  return NEAP_OK;
}

static double untouched(const neap_value *s, double t) {
  (void)s, (void)t;
  return NAN;
}

static int above_zero(neap_context *c, const char *name, const char *setting, double v) {
  if (v > 0 && !isinf(v)) return NEAP_OK;
  return np_fail(c, NEAP_ERR_ARGUMENT, "%s: %s must be above 0, not %g", name, setting, v);
}

/* From a to b as x goes from 0 to 1, in a line or along half a cosine wave. */
static double between(double a, double b, double x, int linear) {
  return linear ? a + (b - a) * x : b + (a - b) / 2 * (cos(PI * x) + 1);
}

/* ---- steps ---- */

enum { STEP_SIZE, STEP_GAMMA };
static int step_check(neap_context *c, const neap_value *s) { return above_zero(c, "StepLR", "step_size", (double)s[STEP_SIZE].i); }
static double step_rate(const neap_value *s, double base, double t) {
  return base * pow(s[STEP_GAMMA].d, floor(t / (double)s[STEP_SIZE].i));
}

enum { STONES, STONES_GAMMA };
static int milestones_check(neap_context *c, const neap_value *s) {
  for (int i = 1; i < s[STONES].n; i++)
    if (s[STONES].is[i] < s[STONES].is[i - 1])
      return np_fail(c, NEAP_ERR_ARGUMENT, "MultiStepLR: milestones must rise; %lld stands before %lld", (long long)s[STONES].is[i - 1],
                     (long long)s[STONES].is[i]);
  return NEAP_OK;
}
static double milestones_rate(const neap_value *s, double base, double t) {
  int n = 0;
  while (n < s[STONES].n && t >= (double)s[STONES].is[n]) n++;
  return base * pow(s[STONES_GAMMA].d, n);
}

static double exponential_rate(const neap_value *s, double base, double t) { return base * pow(s[0].d, t); }

enum { CONSTANT_FACTOR, CONSTANT_ITERS };
static double constant_rate(const neap_value *s, double base, double t) {
  return t < (double)s[CONSTANT_ITERS].i ? base * s[CONSTANT_FACTOR].d : base;
}

/* ---- lines and curves ---- */

enum { LINEAR_START, LINEAR_END, LINEAR_ITERS };
static int linear_check(neap_context *c, const neap_value *s) {
  return above_zero(c, "LinearLR", "total_iters", (double)s[LINEAR_ITERS].i);
}
static double linear_rate(const neap_value *s, double base, double t) {
  return base * between(s[LINEAR_START].d, s[LINEAR_END].d, fmin(1, t / (double)s[LINEAR_ITERS].i), 1);
}

enum { POLYNOMIAL_ITERS, POLYNOMIAL_POWER };
static int polynomial_check(neap_context *c, const neap_value *s) {
  return above_zero(c, "PolynomialLR", "total_iters", (double)s[POLYNOMIAL_ITERS].i);
}
static double polynomial_rate(const neap_value *s, double base, double t) {
  return base * pow(1 - fmin(1, t / (double)s[POLYNOMIAL_ITERS].i), s[POLYNOMIAL_POWER].d);
}

enum { COSINE_T, COSINE_LEAST };
static int cosine_check(neap_context *c, const neap_value *s) { return above_zero(c, "CosineAnnealingLR", "T_max", s[COSINE_T].d); }
static double cosine_rate(const neap_value *s, double base, double t) { return between(base, s[COSINE_LEAST].d, t / s[COSINE_T].d, 0); }

enum { RESTARTS_T, RESTARTS_MULT, RESTARTS_LEAST };
static int restarts_check(neap_context *c, const neap_value *s) {
  if (s[RESTARTS_MULT].i < 1)
    return np_fail(c, NEAP_ERR_ARGUMENT, "CosineAnnealingWarmRestarts: T_mult must be 1 or more, not %lld", (long long)s[RESTARTS_MULT].i);
  return above_zero(c, "CosineAnnealingWarmRestarts", "T_0", (double)s[RESTARTS_T].i);
}
static double restarts_rate(const neap_value *s, double base, double t) {
  double T = (double)s[RESTARTS_T].i, mult = (double)s[RESTARTS_MULT].i;
  if (mult == 1) t = fmod(t, T);
  for (; t >= T; T *= mult) t -= T;
  return between(base, s[RESTARTS_LEAST].d, t / T, 0);
}

enum { WARMUP_STEPS, WARMUP_START };
static int warmup_check(neap_context *c, const neap_value *s) { return above_zero(c, "LinearWarmup", "steps", (double)s[WARMUP_STEPS].i); }
static double warmup_rate(const neap_value *s, double base, double t) {
  return base * between(s[WARMUP_START].d, 1, fmin(1, t / (double)s[WARMUP_STEPS].i), 1);
}

enum { SWA_LR, SWA_EPOCHS, SWA_LINEAR };
static int swa_check(neap_context *c, const neap_value *s) {
  if (s[SWA_EPOCHS].i >= 0) return NEAP_OK;
  return np_fail(c, NEAP_ERR_ARGUMENT, "SWALR: anneal_epochs must be 0 or more, not %lld", (long long)s[SWA_EPOCHS].i);
}
static double swa_rate(const neap_value *s, double base, double t) {
  double n = (double)s[SWA_EPOCHS].i;
  return between(base, s[SWA_LR].d, n > 0 ? fmin(1, t / n) : 1, (int)s[SWA_LINEAR].i);
}

/* ---- CyclicLR ---- */

enum { CYCLIC_LOW, CYCLIC_HIGH, CYCLIC_UP, CYCLIC_DOWN, CYCLIC_MODE, CYCLIC_GAMMA, CYCLIC_MOVES, CYCLIC_LEAST, CYCLIC_MOST };
enum { TRIANGULAR, TRIANGULAR2, EXP_RANGE };

static int cyclic_check(neap_context *c, const neap_value *s) {
  int status = above_zero(c, "CyclicLR", "step_size_up", (double)s[CYCLIC_UP].i);
  if (status != 0 || s[CYCLIC_DOWN].kind == NEAP_NONE) return status;
  return above_zero(c, "CyclicLR", "step_size_down", (double)s[CYCLIC_DOWN].i);
}

/* How high t is, from 0 to 1: up in a line, and down. */
static double cyclic_height(const neap_value *s, double t) {
  double up = (double)s[CYCLIC_UP].i, down = s[CYCLIC_DOWN].kind == NEAP_NONE ? up : (double)s[CYCLIC_DOWN].i;
  double whole = up + down, cycle = floor(1 + t / whole), x = 1 + t / whole - cycle, top = up / whole;
  double height = x <= top ? x / top : (x - 1) / (top - 1);
  if (s[CYCLIC_MODE].i == TRIANGULAR2) return height / pow(2, cycle - 1);
  return s[CYCLIC_MODE].i == EXP_RANGE ? height * pow(s[CYCLIC_GAMMA].d, t) : height;
}
static double cyclic_rate(const neap_value *s, double base, double t) {
  (void)base;
  return s[CYCLIC_LOW].d + (s[CYCLIC_HIGH].d - s[CYCLIC_LOW].d) * cyclic_height(s, t);
}
static double cyclic_momentum(const neap_value *s, double t) {
  if (!s[CYCLIC_MOVES].i) return NAN;
  return s[CYCLIC_MOST].d - (s[CYCLIC_MOST].d - s[CYCLIC_LEAST].d) * cyclic_height(s, t);
}

/* ---- OneCycleLR ---- */

enum { ONE_HIGH, ONE_TOTAL, ONE_EPOCHS, ONE_EACH, ONE_START, ONE_LINEAR, ONE_MOVES, ONE_LEAST, ONE_MOST, ONE_DIV, ONE_FINAL_DIV,
       ONE_THREE };

static double one_cycle_total(const neap_value *s) {
  return s[ONE_TOTAL].kind != NEAP_NONE ? (double)s[ONE_TOTAL].i : (double)s[ONE_EPOCHS].i * (double)s[ONE_EACH].i;
}

static int one_cycle_check(neap_context *c, const neap_value *s) {
  if (s[ONE_TOTAL].kind == NEAP_NONE && (s[ONE_EPOCHS].kind == NEAP_NONE || s[ONE_EACH].kind == NEAP_NONE))
    return np_fail(c, NEAP_ERR_ARGUMENT, "OneCycleLR: needs total_steps, or epochs and steps_per_epoch");
  if (!(s[ONE_START].d >= 0 && s[ONE_START].d <= 1))
    return np_fail(c, NEAP_ERR_ARGUMENT, "OneCycleLR: pct_start must be from 0 to 1, not %g", s[ONE_START].d);
  int status = above_zero(c, "OneCycleLR", s[ONE_TOTAL].kind != NEAP_NONE ? "total_steps" : "epochs * steps_per_epoch", one_cycle_total(s));
  if (status == 0) status = above_zero(c, "OneCycleLR", "div_factor", s[ONE_DIV].d);
  return status != 0 ? status : above_zero(c, "OneCycleLR", "final_div_factor", s[ONE_FINAL_DIV].d);
}

/* The phase that t is in (0 up, 1 down, 2 down further), and how far in it, from 0 to 1. */
static int one_cycle_phase(const neap_value *s, double t, double *x) {
  double total = one_cycle_total(s), end[3] = {s[ONE_START].d * total - 1, 2 * s[ONE_START].d * total - 2, total - 1}, from = 0;
  int last = s[ONE_THREE].i ? 2 : 1, phase = 0;
  end[last] = total - 1;
  for (; phase < last && t > end[phase]; phase++) from = end[phase];
  *x = (t - from) / (end[phase] - from);
  if (s[ONE_LINEAR].i && *x > 1) *x = 1; /* the step behind the last one ends where that ends, not below 0 */
  return phase;
}

static double one_cycle_rate(const neap_value *s, double base, double t) {
  double high = s[ONE_HIGH].d, first = high / s[ONE_DIV].d, last = first / s[ONE_FINAL_DIV].d, x;
  (void)base;
  if (t > one_cycle_total(s)) return NAN;
  int phase = one_cycle_phase(s, t, &x), linear = (int)s[ONE_LINEAR].i;
  if (phase == 0) return between(first, high, x, linear);
  if (phase == 1) return between(high, s[ONE_THREE].i ? first : last, x, linear);
  return between(first, last, x, linear);
}
static double one_cycle_momentum(const neap_value *s, double t) {
  double least = s[ONE_LEAST].d, most = s[ONE_MOST].d, x;
  if (!s[ONE_MOVES].i) return NAN;
  int phase = one_cycle_phase(s, t, &x), linear = (int)s[ONE_LINEAR].i;
  return phase == 0 ? between(most, least, x, linear) : phase == 1 ? between(least, most, x, linear) : most;
}

/* ---- ReduceLROnPlateau ---- */

enum { PLATEAU_MAX, PLATEAU_FACTOR, PLATEAU_PATIENCE, PLATEAU_THRESHOLD, PLATEAU_ABS, PLATEAU_COOLDOWN, PLATEAU_LEAST, PLATEAU_EPS };

static int plateau_check(neap_context *c, const neap_value *s) {
  if (s[PLATEAU_FACTOR].d > 0 && s[PLATEAU_FACTOR].d < 1) return NEAP_OK;
  return np_fail(c, NEAP_ERR_ARGUMENT, "ReduceLROnPlateau: factor must be above 0 and below 1, not %g", s[PLATEAU_FACTOR].d);
}

static double plateau_rate(const neap_value *s, double base, double t) {
  for (; t > 0; t--) {
    double next = fmax(base * s[PLATEAU_FACTOR].d, s[PLATEAU_LEAST].d);
    if (!(base - next > s[PLATEAU_EPS].d)) break;
    base = next;
  }
  return base;
}

/* ---- the table ---- */

#define SCHEDULE(name_, signature_, check_, rate_, momentum_, doc_) { #name_, signature_, check_, rate_, momentum_, doc_ },
static const schedule schedules[] = {
#include "schedules.def"
};

typedef struct schedule_info {
  np_signature s; /* first: see ops/keep.c */
  neap_schedule_info about;
} schedule_info;

int neap_schedule_count(void) { return NP_ARRAY(schedules); }

int neap_schedule_find(const char *name) {
  for (int i = 0; i < NP_ARRAY(schedules); i++)
    if (strcmp(schedules[i].name, name) == 0) return i;
  return -1;
}

static const char family[] = "schedule", text_family[] = "schedule text";

static schedule_info *new_info(neap_context *c, const schedule *row) {
  np_signature *text = np_signature_parse(c, row->signature, NULL);
  if (!text) return NULL;
  text->info.family = text_family;
  text->info.name = row->name;
  if (np_signature_keep(c, text) != 0) return NULL;
  schedule_info *i = np_alloc_zero(c, sizeof *i);
  if (!i) return NULL;
  memcpy(i->s.param, text->param, sizeof text->param);
  i->s.n_params = text->n_params;
  i->s.n_required = text->n_required;
  i->s.bytes = sizeof *i;
  i->s.info.family = family;
  i->s.info.name = row->name;
  i->about = (neap_schedule_info){.name = row->name, .signature = row->signature, .doc = row->doc, .n_params = i->s.n_params,
                                  .params = i->s.param};
  return i;
}

static const schedule_info *about(neap_context *c, int schedule) {
  const np_signature *kept = np_signature_kept(c, family, schedules[schedule].name);
  if (kept) return (const schedule_info *)kept;
  schedule_info *i = new_info(c, &schedules[schedule]);
  return i && np_signature_keep(c, &i->s) == 0 ? i : NULL;
}

const neap_schedule_info *neap_schedule_about(neap_context *c, int schedule) {
  if (schedule < 0 || schedule >= NP_ARRAY(schedules)) return NULL;
  const schedule_info *i = about(c, schedule);
  return i ? &i->about : NULL;
}

/* ---- asked ---- */

static int bind(neap_context *c, int schedule, int n, const neap_value *given, neap_value *set) {
  if (np_failed(c)) return c->error;
  if (schedule < 0 || schedule >= NP_ARRAY(schedules)) return np_fail(c, NEAP_ERR_ARGUMENT, "there is no schedule with number %d", schedule);
  const schedule_info *i = about(c, schedule);
  if (!i || np_bind(c, schedules[schedule].name, &i->s, n, given, set) != 0) return c->error;
  return schedules[schedule].check(c, set);
}

int neap_schedule_at(neap_context *c, int schedule, double base, double step, int n, const neap_value *settings, double *rate,
                     double *momentum) {
  neap_value set[NP_MAX_ARGS] = {{0}};
  if (bind(c, schedule, n, settings, set) != 0) return c->error;
  double r = step >= 0 && step < INFINITY ? schedules[schedule].rate(set, base, step) : NAN;
  if (isnan(r) && !isnan(base))
    return np_fail(c, NEAP_ERR_INDEX, "%s: there is no step %g", schedules[schedule].name, step);
  *rate = r;
  if (momentum) *momentum = schedules[schedule].momentum(set, step);
  return NEAP_OK;
}

/* Better than p->best by the threshold. The first measure is, unless it is NaN. */
static int is_better(const neap_value *s, const neap_plateau *p, double measure) {
  if (!p->begun) return measure == measure;
  double margin = s[PLATEAU_ABS].i ? s[PLATEAU_THRESHOLD].d : p->best * s[PLATEAU_THRESHOLD].d;
  return s[PLATEAU_MAX].i ? measure > p->best + margin : measure < p->best - margin;
}

int neap_plateau_step(neap_context *c, neap_plateau *p, double measure, int n, const neap_value *settings) {
  neap_value s[NP_MAX_ARGS] = {{0}};
  if (bind(c, neap_schedule_find("ReduceLROnPlateau"), n, settings, s) != 0) return c->error;
  if (is_better(s, p, measure)) {
    p->best = measure;
    p->begun = 1;
    p->bad = 0;
  } else {
    p->bad++;
  }
  if (p->rest > 0) {
    p->rest--;
    p->bad = 0;
  }
  if (p->bad <= s[PLATEAU_PATIENCE].i) return 0;
  p->rest = s[PLATEAU_COOLDOWN].i;
  p->bad = 0;
  return 1;
}
