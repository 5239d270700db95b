/* Recurrent layers: RNN, LSTM, GRU and their cells. What comes from the input is one product for all steps; the steps are one
 * op (ops/recurrent.c). Names, shapes, gate order and first values are PyTorch's: all weights from U(-1/sqrt(H), 1/sqrt(H)).
 * Letters: T steps, B rows, I numbers in, H units, P numbers handed on, D directions. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "module.h"

enum { RNN, LSTM, GRU };

typedef struct plan { /* a row's settings */
  int kind, gates, layers, bias, batch_first, directions, variational, relu, cell;
  int64_t in, hidden, proj;
  double dropout;
} plan;

static int gates_of(int kind) { return kind == LSTM ? 4 : kind == GRU ? 3 : 1; }

/* Where the rows' settings stand behind input_size, hidden_size, num_layers. */
static plan plan_of(const neap_module *m, int kind) {
  int at = kind == RNN ? 4 : 3;
  plan p = {.kind = kind, .gates = gates_of(kind), .in = np_set_i(m, 0), .hidden = np_set_i(m, 1)};
  p.layers = (int)np_set_i(m, 2);
  p.relu = kind == RNN && np_set_i(m, 3) == 1;
  p.bias = (int)np_set_i(m, at);
  p.batch_first = (int)np_set_i(m, at + 1);
  p.dropout = np_set_d(m, at + 2);
  p.directions = np_set_i(m, at + 3) ? 2 : 1;
  if (kind == LSTM) p.proj = np_set_i(m, at + 4);
  p.variational = (int)np_set_i(m, kind == LSTM ? at + 5 : at + 4);
  return p;
}

static plan cell_plan(const neap_module *m, int kind) {
  return (plan){.kind = kind, .gates = gates_of(kind), .in = np_set_i(m, 0), .hidden = np_set_i(m, 1), .layers = 1,
                .directions = 1, .bias = (int)np_set_i(m, 2), .relu = kind == RNN && np_set_i(m, 3) == 1, .cell = 1};
}

static int64_t put_out(const plan *p) { return p->proj ? p->proj : p->hidden; }
static int parts_each(const plan *p) { return 2 + 2 * p->bias + (p->proj != 0); }

/* ---- setup ---- */

static int add(neap_module *m, const plan *p, const char *what, const char *suffix, int ndim, const int64_t *shape) {
  char name[NP_MAX_PART_NAME];
  snprintf(name, sizeof name, "%s%s", what, suffix);
  return np_uniform_part(m, name, ndim, shape, np_fan_bound(p->hidden));
}

/* The weights of one layer and direction, which has `in` numbers coming in. */
static int add_weights(neap_module *m, const plan *p, int64_t in, const char *suffix) {
  int64_t rows = p->gates * p->hidden, ih[] = {rows, in}, hh[] = {rows, put_out(p)}, hr[] = {p->proj, p->hidden};
  if (add(m, p, "weight_ih", suffix, 2, ih) != 0 || add(m, p, "weight_hh", suffix, 2, hh) != 0) return m->ctx->error;
  if (p->bias && (add(m, p, "bias_ih", suffix, 1, ih) != 0 || add(m, p, "bias_hh", suffix, 1, ih) != 0)) return m->ctx->error;
  return p->proj ? add(m, p, "weight_hr", suffix, 2, hr) : NEAP_OK;
}

static int setup(neap_module *m, int kind, const neap_value *in) {
  if (np_waits(m, 0, in, -1)) return m->ctx->error;
  if (np_at_least(m, 0, 1) != 0 || np_at_least(m, 1, 1) != 0 || np_at_least(m, 2, 1) != 0) return m->ctx->error;
  plan p = plan_of(m, kind);
  if (np_probability(m, kind == RNN ? 6 : 5) != 0) return m->ctx->error;
  if (p.proj < 0 || (p.proj && p.proj >= p.hidden))
    return np_layer_fail(m, NEAP_ERR_ARGUMENT, "proj_size is below hidden_size %lld, not %lld", (long long)p.hidden, (long long)p.proj);
  for (int l = 0; l < p.layers; l++)
    for (int d = 0; d < p.directions; d++) {
      char suffix[24];
      snprintf(suffix, sizeof suffix, "_l%d%s", l, d ? "_reverse" : "");
      if (add_weights(m, &p, l == 0 ? p.in : put_out(&p) * p.directions, suffix) != 0) return m->ctx->error;
    }
  return NEAP_OK;
}

static int cell_setup(neap_module *m, int kind, const neap_value *in) {
  if (np_waits(m, 0, in, -1)) return m->ctx->error;
  if (np_at_least(m, 0, 1) != 0 || np_at_least(m, 1, 1) != 0) return m->ctx->error;
  plan p = cell_plan(m, kind);
  return add_weights(m, &p, p.in, "");
}

/* ---- forward ---- */

typedef struct walk {
  neap_context *c;
  neap_module *m;
  plan p;
  neap_tensor *h0, *c0, *lengths; /* h0, c0: (layers D, B, P) and (..., H), or NULL: zeros */
  int64_t rows;
  int dtype;
  double drop; /* the probability at work: 0 outside of training */
} walk;

static neap_tensor *first_state(const walk *w, neap_tensor *all, int i, int64_t width) {
  return all ? neap_select(w->c, all, 0, i) : neap_zeros(w->c, 2, (int64_t[]){w->rows, width}, w->dtype);
}

/* One mask for all steps: (B, n), 0 with probability drop and else 1 / (1 - drop). */
static neap_tensor *mask(const walk *w, int64_t n) {
  return neap_dropout(w->c, neap_ones(w->c, 2, (int64_t[]){w->rows, n}, w->dtype), w->drop, 1, NULL);
}

static neap_tensor *held_fast(const walk *w, neap_tensor *x) { /* x (T, B, n) with one mask */
  neap_tensor *one = w->p.variational && w->drop > 0 ? mask(w, x->at.shape[2]) : NULL;
  return one ? neap_mul(w->c, x, one) : x;
}

/* Layer and direction i on x (T, B, I): y (T, B, P), and the last states. */
static neap_tensor *direction(const walk *w, int i, int reverse, neap_tensor *x, neap_tensor **h, neap_tensor **cell) {
  neap_context *c = w->c;
  const plan *p = &w->p;
  int at = i * parts_each(p);
  neap_tensor *w_ih = w->m->part[at].t, *w_hh = w->m->part[at + 1].t, *b_hh = p->bias ? w->m->part[at + 3].t : NULL, *kept = NULL, *y = NULL;
  neap_tensor *w_hr = p->proj ? w->m->part[at + 2 + 2 * p->bias].t : NULL, *bias = p->bias ? w->m->part[at + 2].t : NULL;
  if (bias && p->kind != GRU) bias = neap_add(c, bias, b_hh);
  neap_tensor *given = neap_linear(c, x, w_ih, bias, 0), *h0 = first_state(w, w->h0, i, put_out(p));
  neap_tensor *one = p->variational && w->drop > 0 ? mask(w, put_out(p)) : NULL;
  if (p->kind == LSTM) y = neap_lstm_steps(c, given, h0, first_state(w, w->c0, i, p->hidden), w_hh, w_hr, one, w->lengths, reverse, h, cell, &kept);
  else if (p->kind == GRU) y = neap_gru_steps(c, given, h0, w_hh, b_hh, one, w->lengths, reverse, h, &kept);
  else y = neap_rnn_steps(c, given, h0, w_hh, one, w->lengths, p->relu, reverse, h);
  return y;
}

/* All layers on x (T, B, I); h and cell: the last states of each layer and direction. */
static neap_tensor *layers(const walk *w, neap_tensor *x, neap_tensor **h, neap_tensor **cell) {
  neap_context *c = w->c;
  const plan *p = &w->p;
  for (int l = 0; l < p->layers && !np_failed(c); l++) {
    neap_tensor *y[2] = {NULL};
    if (l > 0 && w->drop > 0 && !p->variational) x = neap_dropout(c, x, w->drop, 1, NULL);
    x = held_fast(w, x);
    for (int d = 0; d < p->directions; d++) {
      int i = l * p->directions + d;
      y[d] = direction(w, i, d, x, &h[i], cell ? &cell[i] : NULL);
    }
    x = p->directions == 2 ? neap_cat(c, 2, y, 2) : y[0];
  }
  return np_failed(c) ? NULL : held_fast(w, x);
}

/* A state that was given: (layers D, B, width), of a cell (B, width), without a batch no B. */
static int check_state(const walk *w, const char *name, neap_tensor *t, int64_t width, int batched) {
  int64_t want[3];
  int n = 0;
  char have[96], right[96];
  np_text text;
  if (!w->p.cell) want[n++] = w->p.layers * w->p.directions;
  if (batched) want[n++] = w->rows;
  want[n++] = width;
  if (!t || (t->at.ndim == n && memcmp(t->at.shape, want, (size_t)n * sizeof *want) == 0)) return NEAP_OK;
  np_shape_text(have, sizeof have, t);
  np_text_init(&text, right, sizeof right);
  np_text_shape(&text, n, want);
  return np_layer_fail(w->m, NEAP_ERR_SHAPE, "%s has shape %s, not %s", name, have, right);
}

static int check_input(const walk *w, const neap_tensor *x, int most) {
  char shape[96];
  const neap_tensor *first = np_part_of(w->m, 0);
  np_shape_text(shape, sizeof shape, x);
  if (first && x->at.dtype != first->at.dtype)
    return np_layer_fail(w->m, NEAP_ERR_DTYPE, "x is %s, but the layer's parameters are %s: convert one of them with to()",
                         np_dtypes[x->at.dtype].info.name, np_dtypes[first->at.dtype].info.name);
  if (x->at.ndim != most && x->at.ndim != most - 1)
    return np_layer_fail(w->m, NEAP_ERR_SHAPE, "x has shape %s; it has %d dimensions, or %d without a batch", shape, most, most - 1);
  if (x->at.shape[x->at.ndim - 1] == w->p.in) return NEAP_OK;
  return np_layer_fail(w->m, NEAP_ERR_SHAPE, "x has shape %s, but input_size is %lld: its last dimension", shape, (long long)w->p.in);
}

/* Takes the batch's dimension off again. */
static neap_tensor *without_batch(const walk *w, neap_tensor *t, int batched) { return batched || !t ? t : neap_squeeze(w->c, t, 1, (int64_t[]){1}); }

static neap_tensor *all_layers(walk *w, neap_tensor *x, neap_tensor **more) {
  neap_context *c = w->c;
  const plan *p = &w->p;
  int batched = x->at.ndim == 3, n = p->layers * p->directions, turned = p->batch_first && batched;
  if (check_input(w, x, 3) != 0) return NULL;
  w->rows = batched ? x->at.shape[p->batch_first ? 0 : 1] : 1;
  if (check_state(w, "h0", w->h0, put_out(p), batched) != 0 || check_state(w, "c0", w->c0, p->hidden, batched) != 0) return NULL;
  if (!batched) {
    x = neap_unsqueeze(c, x, 1);
    if (w->h0) w->h0 = neap_unsqueeze(c, w->h0, 1);
    if (w->c0) w->c0 = neap_unsqueeze(c, w->c0, 1);
  }
  if (turned) x = neap_transpose(c, x, 0, 1);
  size_t bytes = 2 * (size_t)n * sizeof(neap_tensor *);
  neap_tensor **last = np_alloc_zero(c, bytes);
  if (!last) return NULL;
  neap_tensor *y = layers(w, x, last, p->kind == LSTM ? last + n : NULL);
  if (y) more[0] = without_batch(w, neap_stack(c, n, last, 0), batched);
  if (y && p->kind == LSTM) more[1] = without_batch(w, neap_stack(c, n, last + n, 0), batched);
  np_free(c, last, bytes);
  if (y && turned) y = neap_transpose(c, y, 0, 1);
  return y ? without_batch(w, y, batched) : NULL;
}

static neap_tensor *forward(neap_module *m, int kind, const neap_value *in, neap_tensor **more) {
  int state = kind == LSTM ? 3 : 2;
  walk w = {.c = m->ctx, .m = m, .p = plan_of(m, kind), .h0 = in[1].t, .c0 = kind == LSTM ? in[2].t : NULL, .lengths = in[state].t,
            .dtype = in[0].t->at.dtype};
  w.drop = m->training ? w.p.dropout : 0;
  return all_layers(&w, in[0].t, more);
}

static neap_tensor *one_step(walk *w, neap_tensor *x, neap_tensor **more) {
  neap_context *c = w->c;
  int batched = x->at.ndim == 2;
  if (check_input(w, x, 2) != 0) return NULL;
  w->rows = batched ? x->at.shape[0] : 1;
  if (check_state(w, "h", w->h0, w->p.hidden, batched) != 0 || check_state(w, "c", w->c0, w->p.hidden, batched) != 0) return NULL;
  if (!batched) x = neap_unsqueeze(c, x, 0);
  x = neap_unsqueeze(c, x, 0);
  if (w->h0) w->h0 = neap_view(c, w->h0, 3, (int64_t[]){1, w->rows, w->p.hidden});
  if (w->c0) w->c0 = neap_view(c, w->c0, 3, (int64_t[]){1, w->rows, w->p.hidden});
  neap_tensor *h = NULL, *cell = NULL;
  direction(w, 0, 0, x, &h, &cell);
  if (cell) more[0] = batched ? cell : neap_squeeze(c, cell, 1, (int64_t[]){0});
  return !h || batched ? h : neap_squeeze(c, h, 1, (int64_t[]){0});
}

static neap_tensor *cell_forward(neap_module *m, int kind, const neap_value *in, neap_tensor **more) {
  walk w = {.c = m->ctx, .m = m, .p = cell_plan(m, kind), .h0 = in[1].t, .c0 = kind == LSTM ? in[2].t : NULL, .dtype = in[0].t->at.dtype};
  return one_step(&w, in[0].t, more);
}

/* ---- the rows' functions ---- */

#define LAYER_OF(name, kind)                                                                                                           \
  int np_##name##_setup(neap_module *m, const neap_value *in) { return setup(m, kind, in); }                                           \
  int np_##name##_cell_setup(neap_module *m, const neap_value *in) { return cell_setup(m, kind, in); }                                 \
  neap_tensor *np_##name##_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return forward(m, kind, in, more); }    \
  neap_tensor *np_##name##_cell_forward(neap_module *m, const neap_value *in, neap_tensor **more) { return cell_forward(m, kind, in, more); }
LAYER_OF(rnn, RNN)
LAYER_OF(lstm, LSTM)
LAYER_OF(gru, GRU)
