-- What an administrator changed in Immich's machine-learning settings; the rest are Immich's defaults.
SELECT value -> 'machineLearning' AS settings FROM public.system_metadata WHERE key = 'system-config'
