/* The gradient of recurrent.c's ops in recorded ops, for gradients of gradients: the steps once more, one by one, and then
 * back through them by the formulas of kernels/recurrent.inl. Its record grows with the steps; nothing here is fast. */
#include "steps.h"

typedef struct step { /* what backward reads of one step */
  neap_tensor *gate[4], *state; /* LSTM: i f u o, tanh(c); GRU: r z u, m; RNN: nothing, h */
  neap_tensor *h, *c, *given;   /* before it; h with the mask */
  neap_tensor *hidden, *on;     /* o tanh(c) where there is a projection; (B, 1): whether the row counts, NULL: all do */
} step;

typedef struct unrolled {
  neap_context *c;
  np_back *b;
  const np_cell *k;
  int64_t T, H;
  int reverse, relu;
  neap_tensor *p, *w, *w_hr, *bias, *mask;
  step *at; /* in the order of the run */
} unrolled;

static neap_tensor *gate_of(const unrolled *u, neap_tensor *a, int i) { return neap_narrow(u->c, a, 1, i * u->H, u->H); }
static neap_tensor *one_minus(neap_context *c, neap_tensor *x) { return neap_sub(c, NP_C(c, 1), x); }
static neap_tensor *sum(neap_context *c, neap_tensor *x, neap_tensor *y) { return !x ? y : !y ? x : neap_add(c, x, y); }
static neap_tensor *turned(neap_context *c, neap_tensor *x) { return neap_transpose(c, x, 0, 1); }
static neap_tensor *square_slope(neap_context *c, neap_tensor *x) { return one_minus(c, neap_square(c, x)); } /* tanh', of tanh(x) */
static neap_tensor *sigmoid_slope(neap_context *c, neap_tensor *y) { return neap_mul(c, y, one_minus(c, y)); }
static int64_t time_of(const unrolled *u, int64_t i) { return u->reverse ? u->T - 1 - i : i; }

/* Where a row does not count: what was before. */
static neap_tensor *kept(const unrolled *u, const step *s, neap_tensor *fresh, neap_tensor *before) {
  return s->on ? neap_lerp(u->c, before, fresh, s->on) : fresh;
}

/* ---- the steps ---- */

static neap_tensor *lstm_step(const unrolled *u, step *s, neap_tensor *a, neap_tensor **c) {
  neap_context *x = u->c;
  for (int i = 0; i < 4; i++) s->gate[i] = i == 2 ? neap_tanh(x, gate_of(u, a, i)) : neap_sigmoid(x, gate_of(u, a, i));
  neap_tensor *cell = neap_add(x, neap_mul(x, s->gate[1], s->c), neap_mul(x, s->gate[0], s->gate[2]));
  s->state = neap_tanh(x, cell);
  *c = kept(u, s, cell, s->c);
  s->hidden = neap_mul(x, s->gate[3], s->state);
  return u->w_hr ? neap_matmul(x, s->hidden, turned(x, u->w_hr)) : s->hidden;
}

static neap_tensor *gru_step(const unrolled *u, step *s, neap_tensor *p, neap_tensor *g) {
  neap_context *c = u->c;
  if (u->bias) g = neap_add(c, g, u->bias);
  for (int i = 0; i < 2; i++) s->gate[i] = neap_sigmoid(c, neap_add(c, gate_of(u, p, i), gate_of(u, g, i)));
  s->state = gate_of(u, g, 2);
  s->gate[2] = neap_tanh(c, neap_add(c, gate_of(u, p, 2), neap_mul(c, s->gate[0], s->state)));
  return neap_lerp(c, s->gate[2], s->h, s->gate[1]);
}

static void forward(unrolled *u, neap_tensor *h, neap_tensor *cell, neap_tensor *lengths) {
  neap_context *c = u->c;
  neap_tensor *wt = turned(c, u->w), *counts = lengths ? neap_unsqueeze(c, lengths, 1) : NULL;
  for (int64_t i = 0; i < u->T && !np_failed(c); i++) {
    step *s = &u->at[i];
    int64_t t = time_of(u, i);
    *s = (step){ .h = h, .c = cell, .given = u->mask ? neap_mul(c, h, u->mask) : h };
    if (counts) s->on = neap_to(c, neap_gt(c, counts, NP_C(c, (double)t)), u->p->at.dtype);
    neap_tensor *p = neap_select(c, u->p, 0, t), *g = neap_matmul(c, s->given, wt), *fresh;
    if (u->k->kind == NP_LSTM) fresh = lstm_step(u, s, neap_add(c, p, g), &cell);
    else if (u->k->kind == NP_GRU) fresh = gru_step(u, s, p, g);
    else fresh = s->state = u->relu ? neap_relu(c, neap_add(c, p, g)) : neap_tanh(c, neap_add(c, p, g));
    h = kept(u, s, fresh, s->h);
  }
}

/* ---- back through them ---- */

/* gh: of what the cell put out. Of the sums of p (*gp) and of what the weights made (returned); *gc as in lstm_back; direct: to h. */
static neap_tensor *lstm_back(const unrolled *u, const step *s, neap_tensor *gh, neap_tensor **gc, neap_tensor **gp) {
  neap_context *c = u->c;
  neap_tensor *const *gate = s->gate, *part[4];
  neap_tensor *through = neap_mul(c, neap_mul(c, gh, gate[3]), square_slope(c, s->state));
  neap_tensor *before = *gc && s->on ? neap_mul(c, *gc, s->on) : *gc, *d = sum(c, before, through);
  part[0] = neap_mul(c, neap_mul(c, d, gate[2]), sigmoid_slope(c, gate[0]));
  part[1] = neap_mul(c, neap_mul(c, d, s->c), sigmoid_slope(c, gate[1]));
  part[2] = neap_mul(c, neap_mul(c, d, gate[0]), square_slope(c, gate[2]));
  part[3] = neap_mul(c, neap_mul(c, gh, s->state), sigmoid_slope(c, gate[3]));
  neap_tensor *after = neap_mul(c, d, gate[1]);
  *gc = *gc && s->on ? sum(c, after, neap_mul(c, *gc, one_minus(c, s->on))) : after;
  return *gp = neap_cat(c, 4, part, 1);
}

static neap_tensor *gru_back(const unrolled *u, const step *s, neap_tensor *gh, neap_tensor **direct, neap_tensor **gp) {
  neap_context *c = u->c;
  neap_tensor *const *gate = s->gate, *part[3];
  neap_tensor *d = neap_mul(c, neap_mul(c, gh, one_minus(c, gate[1])), square_slope(c, gate[2]));
  part[0] = neap_mul(c, neap_mul(c, d, s->state), sigmoid_slope(c, gate[0]));
  part[1] = neap_mul(c, neap_mul(c, gh, neap_sub(c, s->h, gate[2])), sigmoid_slope(c, gate[1]));
  part[2] = d;
  *gp = neap_cat(c, 3, part, 1);
  *direct = neap_mul(c, gh, gate[1]);
  part[2] = neap_mul(c, d, gate[0]);
  return neap_cat(c, 3, part, 1);
}

static neap_tensor *rnn_back(const unrolled *u, const step *s, neap_tensor *gh, neap_tensor **gp) {
  neap_context *c = u->c;
  neap_tensor *slope = u->relu ? neap_to(c, neap_gt(c, s->state, NP_C(c, 0)), u->p->at.dtype) : square_slope(c, s->state);
  return *gp = neap_mul(c, gh, slope);
}

typedef struct sums { neap_tensor *w, *w_hr, *b, *mask; } sums;

/* gh, gc: after step i, then before it; returns p's gradient. */
static neap_tensor *backward_step(const unrolled *u, int64_t i, neap_tensor **gh, neap_tensor **gc, sums *to) {
  neap_context *c = u->c;
  const step *s = &u->at[i];
  neap_tensor *gy = u->b->g[0] ? neap_select(c, u->b->g[0], 0, time_of(u, i)) : NULL, *all = sum(c, *gh, gy), *direct = NULL, *gp = NULL, *gg;
  if (!all) all = np_tensor_like(s->h, s->h->at.dtype), np_zero(c, all);
  neap_tensor *used = s->on ? neap_mul(c, all, s->on) : all;
  if (u->w_hr) {
    to->w_hr = sum(c, to->w_hr, neap_matmul(c, turned(c, used), s->hidden));
    used = neap_matmul(c, used, u->w_hr);
  }
  if (u->k->kind == NP_LSTM) gg = lstm_back(u, s, used, gc, &gp);
  else if (u->k->kind == NP_GRU) gg = gru_back(u, s, used, &direct, &gp);
  else gg = rnn_back(u, s, used, &gp);
  neap_tensor *through = neap_matmul(c, gg, u->w);
  to->w = sum(c, to->w, neap_matmul(c, turned(c, gg), s->given));
  if (u->bias) to->b = sum(c, to->b, neap_sum(c, gg, 1, (int64_t[]){ 0 }, 0, -1));
  if (u->mask) {
    to->mask = sum(c, to->mask, neap_mul(c, through, s->h));
    through = neap_mul(c, through, u->mask);
  }
  neap_tensor *past = s->on && *gh ? neap_mul(c, *gh, one_minus(c, s->on)) : NULL;
  *gh = sum(c, sum(c, through, direct), past);
  return gp;
}

static void backward(const unrolled *u) {
  neap_context *c = u->c;
  np_back *b = u->b;
  const np_cell *k = u->k;
  neap_tensor *gh = b->g[1], *gc = k->c0 >= 0 ? b->g[2] : NULL;
  neap_tensor **gp = np_alloc_zero(c, (size_t)u->T * sizeof *gp);
  sums to = { .w = NULL };
  for (int64_t i = u->T - 1; gp && i >= 0 && !np_failed(c); i--) gp[time_of(u, i)] = backward_step(u, i, &gh, &gc, &to);
  if (gp && !np_failed(c)) b->gx[NP_STEPS_P] = neap_stack(c, (int)u->T, gp, 0);
  np_free(c, gp, (size_t)u->T * sizeof *gp);
  b->gx[NP_STEPS_H0] = gh;
  b->gx[k->w] = to.w;
  if (k->c0 >= 0) b->gx[k->c0] = gc;
  if (k->w_hr >= 0) b->gx[k->w_hr] = to.w_hr;
  if (k->b >= 0) b->gx[k->b] = to.b;
  b->gx[k->mask] = to.mask;
}

int np_recurrent_twin(np_back *b) {
  neap_context *c = b->ctx;
  const np_cell *k = np_cell_of(b->op);
  neap_tensor *const *x = b->x;
  unrolled u = { .c = c, .b = b, .k = k, .p = x[NP_STEPS_P], .w = x[k->w], .mask = x[k->mask], .reverse = b->arg[k->reverse].i != 0,
    .relu = k->nonlinearity >= 0 && b->arg[k->nonlinearity].i == 1 };
  u.T = u.p->at.shape[0], u.H = u.p->at.shape[2] / k->gates;
  if (k->w_hr >= 0) u.w_hr = x[k->w_hr];
  if (k->b >= 0) u.bias = x[k->b];
  if (u.T == 0) return c->error;
  u.at = np_alloc_zero(c, (size_t)u.T * sizeof *u.at);
  if (!u.at) return c->error;
  forward(&u, x[NP_STEPS_H0], k->c0 >= 0 ? x[k->c0] : NULL, x[k->lengths]);
  if (!np_failed(c)) backward(&u);
  np_free(c, u.at, (size_t)u.T * sizeof *u.at);
  return c->error;
}
