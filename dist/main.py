VERBS = {
    "list": list_migrations, "static": list_statically, "plan": plan, "migrate": migrate, "verify": verify, "fit": fit,
    "collect": collect, "http": check_http,
}

main()
