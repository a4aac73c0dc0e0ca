use super::*;

#[test]
fn f1_a_file_system_is_loaded_without_a_wait_for_devices() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = Modules { parameters: vec![("vfat".to_owned(), "x=1".to_owned())], ..Modules::default() };
    let loader = Loader::new(&Env::new(dir.path()), &wanted);
    let of = |name, parameters, probes| {
        let module = Loadable { name, file: "/x.ko", parameters };
        loader.arguments(module, probes)
    };
    assert_eq!(of("vfat", "y=2", Probes::None), "y=2 x=1 async_probe");
    assert_eq!(of("ext4", "", Probes::None), "async_probe");
    assert_eq!(of("vfat", "", Probes::All), "x=1");
    assert_eq!(of("ext4", "", Probes::All), "");
}

/// A pipe that nobody writes to stands for a driver that waits for its hardware: reading its file does not end.
#[test]
fn a_driver_that_does_not_come_back_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let env = Env::new(dir.path());
    let index = env.path(layout::MODULE_INDEX);
    fs::create_dir_all(index.parent().unwrap()).unwrap();
    fs::write(&index, "rdlive-modules 1 6.12\nm stuck /stuck.ko.zst - - -\nm other /other.ko.zst - - -\n").unwrap();
    let pipe = env.path("stuck.ko.zst");
    assert!(std::process::Command::new("mkfifo").arg(pipe).status().unwrap().success());
    let loader = Arc::new(Loader::new(&env, &Modules::default()));
    assert!(loader.index.contains("stuck"), "the index is read");
    let begun = Instant::now();
    loader.load_all(&["stuck".to_owned(), "other".to_owned()], Duration::from_millis(200));
    assert!((200..5000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    let silent = loader.load_within("stuck", Duration::from_millis(50));
    assert!(matches!(&silent, Err(ModuleError::Silent(name, _)) if name == "stuck"), "{silent:?}");
    // It has its patience; and a device that asks for it gets nobody stuck.
    assert_eq!(loader.progress(), Drivers { busy: true, silent: Vec::new() });
    loader.do_job(&Job::Name("stuck".to_owned()), 7);
    let mut state = loader.lock();
    state.busy[0].since = Instant::now().checked_sub(PATIENCE).unwrap();
    drop(state);
    assert_eq!(loader.progress(), Drivers { busy: false, silent: vec!["stuck".to_owned()] });
}
