/* template_internal - the tree of a template, between its parser and its interpreter. */
#pragma once

#include "rego/template.h"

#define TEMPLATE_DEPTH_MAX 100

/* What an expression gives: data, or one of the numbers that only templates have. */
enum item_kind { ITEM_DATA, ITEM_ABSENT, ITEM_INT, ITEM_FLOAT };

struct item {
    enum item_kind kind;
    value v;
    int64_t n;
    double f;
};

enum operand_kind {
    OPERAND_DOT,
    OPERAND_VARIABLE,
    OPERAND_CONSTANT,
    OPERAND_NIL,
    OPERAND_FUNCTION,
    OPERAND_PIPELINE
};

struct operand {
    enum operand_kind kind;
    struct str name; /* of a variable (with $) or function */
    struct item constant;
    struct pipeline *inner;
    struct str *fields; /* .a.b after it */
    size_t field_count;
    struct str text; /* source, for messages */
    struct operand *next;
};

struct command {
    struct operand *operands;
    size_t operand_count;
    struct command *next;
};

struct pipeline {
    struct str variables[2];
    size_t variable_count;
    bool assigns; /* "=" and not ":=" */
    struct command *commands;
    struct str text;
};

enum node_kind {
    NODE_TEXT,
    NODE_ACTION,
    NODE_IF,
    NODE_RANGE,
    NODE_WITH,
    NODE_TEMPLATE,
    NODE_BREAK,
    NODE_CONTINUE
};

struct node {
    enum node_kind kind;
    struct str text; /* literal, or the name of a template */
    struct pipeline *pipeline;
    struct node *body, *otherwise;
    struct node *next;
};

struct definition {
    struct str name;
    struct node *body;
    struct definition *next;
};

struct template
{
    struct node *body;
    struct definition *definitions;
};

/* False: an error or an exhausted limit was reported, *o says which. */
bool template_parse(struct rego_call *call, struct str text, struct template *out,
                    enum rego_outcome *o);

bool template_is_function(struct str name);
