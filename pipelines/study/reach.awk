# A row of a model's measurements with when it reached DPO's final reward: -v seed=, and the CPU seconds
# of what it needs besides its own training, cache= of its teacher cache and teachers= of the trainings of
# its teachers; all_seconds are all of these. Files: DPO's curve on validation prompts, the model's own (it may be
# missing), the model's row of the test.
BEGIN { FS = OFS = "," }
FNR == 1 { file++ }
FILENAME ~ /-row\.csv$/ {
    if (FNR == 1) { print $0, "seed", "steps_to_dpo", "seconds_to_dpo", "cache_seconds", "teacher_seconds"; next }
    spent = steps != "" && $17 ? $18 * steps / $17 : ""
    if ($18 != "") $19 = $18 + cache + teachers
    print $0, seed, steps, spent, cache, teachers
    next
}
FNR == 1 { next }
file == 1 { target = $2 }
file == 2 && steps == "" && $1 > 0 && $2 >= target { steps = $1 }
