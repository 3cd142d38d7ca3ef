/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Config rules: limits and policy, two keys of mdevgpud.yaml.
 */

#include "config-field.h"
#include "core/rules.h"

/* Adds to the set what the value of the key says. Names of users and groups are those of the host below root. As the
 * readers of config-field.h return. */
int config_read_limits(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, RuleSet *set,
                       const char *root);
int config_read_policy(ConfigReader *reader, const ConfigField *field, const ConfigItem *item, RuleSet *set,
                       const char *root);
