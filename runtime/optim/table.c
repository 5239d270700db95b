/* The rule table: the rows of rules.def as one constant array, and what the outside may ask about them. */
#include <stdlib.h>
#include <string.h>
#include "optim.h"

#define RULE(name, signature, slots, scalars, check, update, after, doc) \
  int np_##check(neap_context *c, const neap_value *set);                \
  void np_##update(const np_optim *k, const neap_value *set, const np_chunk *p); \
  void np_##after(const neap_value *set, int64_t step, double *scalar);
#define WHOLE(name, signature, slots, dims, check, whole, doc) \
  int np_##check(neap_context *c, const neap_value *set);      \
  int np_##whole(neap_context *c, const np_entire *p);
#define TOLD(name, signature, check, tell, doc)           \
  int np_##check(neap_context *c, const neap_value *set); \
  int np_##tell(neap_optimizer *o, double loss);
#include "rules.def"
#undef RULE
#undef WHOLE
#undef TOLD

#define RULE(name_, signature_, slots_, scalars_, check_, update_, after_, doc_)                                     \
  { .name = #name_, .signature = signature_, .slots = slots_, .scalars = scalars_, .check = np_##check_,             \
    .update = np_##update_, .after = np_##after_, .doc = doc_ },
#define WHOLE(name_, signature_, slots_, dims_, check_, whole_, doc_)                                                \
  { .name = #name_, .signature = signature_, .slots = slots_, .scalars = "", .dims = dims_, .check = np_##check_,    \
    .after = np_rule_still, .whole = np_##whole_, .doc = doc_ },
#define TOLD(name_, signature_, check_, tell_, doc_)                                                                 \
  { .name = #name_, .signature = signature_, .slots = "", .scalars = "", .check = np_##check_, .after = np_rule_still, \
    .tell = np_##tell_, .doc = doc_ },
static const np_rule rules[] = {
#include "rules.def"
};

const np_rule *np_rule_row(int rule) { return &rules[rule]; }

int neap_rule_count(void) { return NP_ARRAY(rules); }

int neap_rule_find(const char *name) {
  for (int i = 0; i < NP_ARRAY(rules); i++)
    if (strcmp(rules[i].name, name) == 0) return i;
  return -1;
}

static int setting_named(const np_signature *s, const char *name) {
  for (int i = 0; i < s->n_params; i++)
    if (strcmp(s->param[i].name, name) == 0) return i;
  return -1;
}

/* Ends the word at s and gives what stands behind `mark` in it, or NULL. */
static char *cut_at(char *s, char mark) {
  char *at = strchr(s, mark);
  if (at) *at++ = 0;
  return at;
}

static char *next_word(char *word) {
  size_t n = strcspn(word, " ");
  char *next = word + n + (word[n] == ' ');
  word[n] = 0;
  return next;
}

/* Cuts "name/shape?setting name ..." */
static void read_slots(np_rule_info *r, char *text) {
  static const char *const shapes[] = {"full", "rows", "cols", "flat"};
  for (char *word = text, *next; *word; word = next) {
    next = next_word(word);
    char *setting = cut_at(word, '?'), *shape = cut_at(word, '/');
    int i = r->about.n_slots++;
    r->needs[i] = setting ? setting_named(&r->s, setting) : -1;
    for (int k = 0; shape && k < NP_ARRAY(shapes); k++)
      if (strcmp(shapes[k], shape) == 0) r->shape[i] = k;
    r->slot[i] = word;
  }
}

/* Cuts "name=start name=setting ..." */
static void read_scalars(np_rule_info *r, char *text) {
  for (char *word = text, *next; *word; word = next) {
    next = next_word(word);
    char *start = cut_at(word, '=');
    int i = r->about.n_scalars++;
    r->from[i] = setting_named(&r->s, start);
    r->start[i] = strtod(start, NULL);
    r->scalar[i] = word;
  }
}

static const char family[] = "rule", text_family[] = "rule text";

static np_rule_info *new_info(neap_context *c, const np_rule *rule) {
  np_signature *text = np_signature_parse(c, rule->signature, NULL);
  if (!text) return NULL;
  text->info.family = text_family;
  text->info.name = rule->name;
  if (np_signature_keep(c, text) != 0) return NULL;
  size_t slots = strlen(rule->slots) + 1, bytes = sizeof(np_rule_info) + slots + strlen(rule->scalars) + 1;
  np_rule_info *r = np_alloc_zero(c, bytes);
  if (!r) return NULL;
  memcpy(r->s.param, text->param, sizeof text->param);
  r->s.n_params = text->n_params;
  r->s.n_required = text->n_required;
  r->s.bytes = bytes;
  r->s.info.family = family;
  r->s.info.name = rule->name;
  r->about = (neap_rule_info){.name = rule->name, .signature = rule->signature, .doc = rule->doc,
                              .n_params = r->s.n_params, .params = r->s.param, .slots = r->slot, .scalars = r->scalar,
                              .told = rule->tell != NULL};
  memcpy(r->text, rule->slots, slots);
  strcpy(r->text + slots, rule->scalars);
  read_slots(r, r->text);
  read_scalars(r, r->text + slots);
  r->maximize = setting_named(&r->s, "maximize");
  return r;
}

const np_rule_info *np_rule_about(neap_context *c, int rule) {
  const np_signature *kept = np_signature_kept(c, family, rules[rule].name);
  if (kept) return (const np_rule_info *)kept;
  np_rule_info *r = new_info(c, &rules[rule]);
  return r && np_signature_keep(c, &r->s) == 0 ? r : NULL;
}

const neap_rule_info *neap_rule_about(neap_context *c, int rule) {
  if (rule < 0 || rule >= NP_ARRAY(rules)) return NULL;
  const np_rule_info *r = np_rule_about(c, rule);
  return r ? &r->about : NULL;
}
